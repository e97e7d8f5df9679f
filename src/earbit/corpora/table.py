"""Table of the published corpora that `earbit prepare NAME` reads."""

from __future__ import annotations

import difflib

from earbit.corpora.collection import COLLECTION
from earbit.corpora.iemocap import IEMOCAP
from earbit.corpora.libri2mix import LIBRI2MIX
from earbit.corpora.published import PublishedCorpus
from earbit.corpora.quesst14 import QUESST14
from earbit.corpora.voxceleb1 import VOXCELEB1
from earbit.errors import ConfigError

CORPORA: dict[str, PublishedCorpus] = {
    corpus.name: corpus for corpus in (VOXCELEB1, LIBRI2MIX, QUESST14, IEMOCAP, COLLECTION)
}
KINDS = ("folder", "synthetic")
"""What `earbit prepare` takes besides the names of published corpora."""


def published_named(name: str) -> PublishedCorpus | None:
    """The published corpus of a name, None for KINDS; raises ConfigError for any other name."""
    if name in KINDS:
        return None
    if name in CORPORA:
        return CORPORA[name]
    if near := difflib.get_close_matches(name.lower(), (*KINDS, *CORPORA), n=2):
        raise ConfigError(f"{name!r} is no kind of corpus; did you mean {' or '.join(near)}")
    raise ConfigError(
        f"{name!r} is no kind of corpus; write `prepare folder --root {name}`, `prepare "
        f"synthetic`, or a published corpus: {', '.join(CORPORA)}"
    )
