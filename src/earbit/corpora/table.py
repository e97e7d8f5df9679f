"""Table of the published corpora that `earbit prepare NAME` reads."""

from __future__ import annotations

from earbit.corpora.published import PublishedCorpus

CORPORA: dict[str, PublishedCorpus] = {corpus.name: corpus for corpus in ()}
