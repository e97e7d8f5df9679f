"""Interface of a published corpus: its files as distributed, read into clips with labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledClip:
    """One audio file of a corpus and its labels."""

    id: str
    path: Path
    """Path of the audio, below the folder of the corpus."""
    labels: Mapping[str, Any]
    """Fields of the manifest (docs/corpus.md): split, speaker, text, keyword, intent, ..."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The clips of a corpus for tasks that share splits."""

    name: str
    """Folder of the part below OUT: the name of its task.  Empty if the corpus has one part."""
    tasks: tuple[str, ...]
    read: Callable[[Path], Iterable[LabelledClip]]
    """Folder of the corpus -> clips.  Raises DataError for a table that is missing or damaged."""
    counts: Mapping[str, int]
    """Published number of clips by split."""
    trials: Callable[[Path], Iterable[tuple[bool, str, str]]] | None = None
    """Folder of the corpus -> test trials: whether the speakers are equal, ids of two clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedCorpus:
    """A corpus of SUPERB (arXiv 2105.01051) as its authors distribute it."""

    name: str
    title: str
    licence: str
    """Licence, and the address of the files or of the form that gives access to them."""
    layout: tuple[str, ...]
    """Files and folders below the root that must exist, for the message about missing ones."""
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = field(default=())
    """What differs from the splits of s3prl, printed by `earbit prepare`."""
