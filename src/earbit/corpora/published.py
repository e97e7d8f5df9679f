"""Interface of a published corpus: its files as distributed, read into clips with labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earbit.errors import DataError

TRIALS_NAME = "trials.txt"
"""Pairs of clips beside the manifest, in the format of VoxCeleb: `1 FILE FILE` for a match."""
Trial = tuple[bool, str, str]
"""Whether the speakers of two clips are equal, and the ids of the clips."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file in a mixture."""

    path: Path
    """Path of the audio, relative to the folder of the corpus."""
    start_s: float
    gain_db: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledClip:
    """One audio file of a corpus, an excerpt of one, or a mixture of several, and its labels."""

    id: str
    """Unique in its part."""
    path: Path
    """Path of the audio, relative to the folder of the corpus."""
    labels: Mapping[str, Any]
    """Fields of the manifest (docs/corpus.md): split, speaker, text, keyword, intent, ..."""
    excerpt: tuple[int, int] | None = None
    """First sample and number of samples at 16 kHz, which are written to a file of their own."""
    mixture: tuple[Placed, ...] = ()
    """Files that are added up and written to a file of their own; `path` is then not read."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the corpus that the clip needs."""
        return tuple(dict.fromkeys(placed.path for placed in self.mixture)) or (self.path,)


Read = Callable[[Path], Iterable[LabelledClip | str]]
"""Folder of a corpus -> clips in a fixed order, and remarks for the user, one line each.

Raises DataError for a table that is missing or damaged.  Clips whose audio is missing are returned
too: `prepare` counts them.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The clips of a corpus for tasks that share splits."""

    name: str = ""
    """Folder of the part below OUT: the name of its task.  Empty if the corpus has one part."""
    tasks: tuple[str, ...]
    read: Read
    counts: Mapping[str, int] = field(default_factory=dict)
    """Published number of audio files by split: train, valid, test, or `none` without a split."""
    trials: Callable[[Path], Iterable[Trial]] | None = None
    """Folder of the corpus -> test trials.  Trials of missing clips are counted and left out."""


def _same(root: Path) -> Path:
    return root


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedCorpus:
    """A corpus as its authors distribute it."""

    name: str
    title: str
    licence: str
    """Licence, and the address of the files or of the form that gives access to them."""
    layout: tuple[str, ...]
    """Files and folders below the root that must exist; `*` stands for any name."""
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    """What differs from the splits of s3prl, printed by `earbit prepare`."""
    audio_root: Callable[[Path], Path] = _same
    """--root -> the folder of the audio, where it is another one."""

    def check_layout(self, root: Path) -> None:
        """Raises DataError, naming the layout and the source, for files missing below `root`."""
        if not root.exists():
            raise DataError(f"{root}: no such folder; {self.expected()}")
        missing = self._missing_in(root)
        if not missing:
            return
        children = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        inside = next((child for child in children if not self._missing_in(child)), None)
        hint = "" if inside is None else f"it is in {inside}, give --root {inside}; "
        raise DataError(f"{root}: no {' and no '.join(missing)}; {hint}{self.expected()}")

    def _missing_in(self, root: Path) -> list[str]:
        return [name for name in self.layout if not _is_there(root, name)]

    def expected(self) -> str:
        """Text about the layout, the licence and the source."""
        layout = f"expected below --root: {', '.join(self.layout)}; " if self.layout else ""
        return f"{layout}{self.title}: {self.licence}"


def _is_there(root: Path, name: str) -> bool:
    return any(True for _ in root.glob(name)) if "*" in name else (root / name).exists()
