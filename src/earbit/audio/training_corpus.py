"""A corpus opened for training, in memory that hardly grows with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from earbit.audio.clips import ClipTable
from earbit.audio.corpus import naming_unusable, nothing_usable
from earbit.audio.corpus_digest import CorpusDigest
from earbit.audio.inputs import open_input
from earbit.audio.manifest import Rejected
from earbit.audio.place import source_text
from earbit.audio.training_split import Parts


@dataclass(frozen=True, slots=True)
class TrainingCorpus:
    """Clips to train on and to validate, without labels and without audio in memory."""

    name: str
    root: Path
    train: ClipTable
    valid: ClipTable
    quarantine: tuple[Rejected, ...]
    digest: str
    """That of `Corpus.digest`."""
    ignored: tuple[str, ...] = ()


Opened = Callable[[], TrainingCorpus]
"""Opens a corpus when it is first needed."""


def open_clips(where: str | Path, *, resplit: bool = False) -> TrainingCorpus:
    """Opens a corpus like `open_corpus` and splits it like `training_split`, line by line.

    Raises DataError like both.
    """
    given = open_input(where, resplit=resplit)
    rejected: list[Rejected] = []
    digest, parts = CorpusDigest(), Parts()
    n_usable = 0
    for utterance in given.usable(rejected):
        n_usable += 1
        digest.add(utterance)
        source = source_text(utterance.path, utterance.place)
        parts.add(utterance.id, utterance.n_samples, source, utterance.labels.get("split"))
    if not n_usable:
        raise nothing_usable(given, rejected)
    known = TrainingCorpus(
        given.name,
        given.root,
        ClipTable(()),
        ClipTable(()),
        tuple(rejected),
        digest.hexdigest(),
        given.ignored,
    )
    with naming_unusable(known):
        train, valid = parts.tables(given.name)
    return replace(known, train=train, valid=valid)
