"""Table of the published corpora that `earbit prepare NAME` reads."""

from __future__ import annotations

import difflib
from pathlib import Path

from earbit.corpora.collection import COLLECTION
from earbit.corpora.fairseq_tsv import FAIRSEQ_TSV
from earbit.corpora.fluent_speech_commands import FLUENT_SPEECH_COMMANDS
from earbit.corpora.iemocap import IEMOCAP
from earbit.corpora.libri2mix import LIBRI2MIX
from earbit.corpora.librispeech import LIBRISPEECH, LIBRISPEECH_LAYOUT
from earbit.corpora.published import PublishedCorpus
from earbit.corpora.quesst14 import QUESST14
from earbit.corpora.snips import AUDIO_SNIPS
from earbit.corpora.speech_commands import V1, V2
from earbit.corpora.voxceleb1 import VOXCELEB1
from earbit.errors import ConfigError

CORPORA: dict[str, PublishedCorpus] = {
    corpus.name: corpus
    for corpus in (
        LIBRISPEECH,
        LIBRISPEECH_LAYOUT,
        V1,
        V2,
        QUESST14,
        VOXCELEB1,
        LIBRI2MIX,
        FLUENT_SPEECH_COMMANDS,
        AUDIO_SNIPS,
        IEMOCAP,
        COLLECTION,
        FAIRSEQ_TSV,
    )
}
KINDS = ("folder", "synthetic")
"""What `earbit prepare` takes besides the names of published corpora."""


def published_named(
    name: str, root: Path | None, labels: Path | None = None
) -> PublishedCorpus | None:
    """The published corpus of a name, and None for KINDS.

    Raises ConfigError for any other name, and for a published corpus without `root` or with a table
    of labels.
    """
    if name in KINDS:
        return None
    if name not in CORPORA:
        raise ConfigError(f"{name!r} is no kind of corpus; {_near(name)}")
    if root is None:
        raise ConfigError(f"prepare {name} needs --root, where {CORPORA[name].title} is")
    if labels is not None:
        raise ConfigError(f"--labels {labels}: prepare {name} takes none; it reads its own tables")
    return CORPORA[name]


def _near(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), (*KINDS, *CORPORA), n=2)
    if near:
        return f"did you mean {' or '.join(near)}"
    return (
        f"write `prepare folder --root {name}`, `prepare synthetic`, or a corpus as distributed: "
        f"{', '.join(CORPORA)}"
    )
