"""Ids, files and lengths of many clips in little memory: about 30 bytes per clip.

A list of a million objects takes a gigabyte and is copied to every worker process, since reference
counts touch its pages.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

import numpy as np
from lhotse import MonoCut
from numpy.typing import NDArray

from earbit.audio.decode import audio_info, read_crop, read_place
from earbit.audio.manifest import check_n_samples
from earbit.audio.place import WHOLE, Place, path_and_place, shown, source_text
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.texts import SortedTexts, Texts
from earbit.errors import DataError

FIELDS = "\0"
"""Separates id, length and source of a clip in one text; no id or path has one."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip and the file that holds it."""

    id: str
    path: Path
    n_samples: int
    """Length at 16 kHz."""
    place: Place = WHOLE
    """Part of the file."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / SAMPLE_RATE_HZ


class ReadClip(Protocol):
    """Reads the audio of clips."""

    def __call__(
        self, clip: Clip, start: int = 0, n_samples: int | None = None
    ) -> NDArray[np.float32]:
        """Samples of a clip from `start` on, float32 at 16 kHz; all without `n_samples`.

        Raises DataError if the clip cannot be decoded.
        """


class ClipTable(Sequence[Clip]):
    """Clips in the order of their ids."""

    def __init__(self, clips: Iterable[Clip]) -> None:
        ordered = SortedTexts()
        for clip in clips:
            ordered.add(clip_text(clip.id, clip.n_samples, source_text(clip.path, clip.place)))
        self._fill(ordered)

    @classmethod
    def of_texts(cls, ordered: Iterable[str]) -> ClipTable:
        """A table of texts of `clip_text` in their order."""
        table = cls.__new__(cls)
        table._fill(ordered)
        return table

    def _fill(self, ordered: Iterable[str]) -> None:
        lengths = array("q")

        def fields() -> Iterator[str]:
            for text in ordered:
                name, n_samples, source = text.split(FIELDS, 2)
                lengths.append(int(n_samples))
                yield f"{name}{FIELDS}{source}"

        self._clips = Texts(fields())
        self.n_samples: NDArray[np.int64] = np.array(lengths, np.int64)

    def __len__(self) -> int:
        return len(self.n_samples)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Clip]: ...
    def __getitem__(self, index: int | slice) -> Clip | Sequence[Clip]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return _clip(self._clips[index], int(self.n_samples[index]))

    def __iter__(self) -> Iterator[Clip]:
        return (_clip(text, int(n)) for text, n in zip(self._clips, self.n_samples, strict=True))

    @property
    def ids(self) -> Sequence[str]:
        """The ids in order."""
        return _Ids(self._clips)

    def named(self, name: str) -> Clip:
        """The clip with an id; raises DataError if there is none."""
        row = bisect_left(self.ids, name)
        if row == len(self) or self.ids[row] != name:
            raise DataError(f"no clip with the id {name!r} among {len(self)}")
        return self[row]

    @property
    def duration_s(self) -> float:
        """Length of all clips in seconds."""
        return int(self.n_samples.sum()) / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class _Ids(Sequence[str]):
    """Ids of a table."""

    clips: Texts

    def __len__(self) -> int:
        return len(self.clips)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [id_of(text) for text in self.clips[index]]
        return id_of(self.clips[index])

    def __iter__(self) -> Iterator[str]:
        return (id_of(text) for text in self.clips)


def clip_text(name: str, n_samples: int, source: str) -> str:
    """A clip as one text; texts have the order of the ids.  source: a text of `source_text`."""
    return f"{name}{FIELDS}{n_samples}{FIELDS}{source}"


def id_of(text: str) -> str:
    """The id in a text of `clip_text`."""
    return text.partition(FIELDS)[0]


def _clip(text: str, n_samples: int) -> Clip:
    name, _, source = text.partition(FIELDS)
    path, place = path_and_place(source)
    return Clip(name, path, n_samples, place)


def clip_of(cut: MonoCut) -> Clip:
    """The clip of a cut of `cut_of`."""
    sources = cut.recording.sources
    path, place = path_and_place(sources[0].source if sources else "")
    return Clip(cut.id, path, cut.recording.num_samples, place)


def path_of(cut: MonoCut) -> Path:
    """The file of a cut for messages, see `place.shown`."""
    clip = clip_of(cut)
    return shown(clip.path, clip.place)


def read_clip(clip: Clip, start: int = 0, n_samples: int | None = None) -> NDArray[np.float32]:
    """Decodes a clip, or `n_samples` from `start` on: float32 at 16 kHz.

    If at most half of a clip is requested, only this part is decoded, where the format allows it.
    Raises DataError if it cannot be decoded or its length differs from that of the clip.
    """
    if n_samples is not None and 2 * n_samples <= clip.n_samples:
        waveform, n_found = read_crop(clip.path, clip.place, start, n_samples)
    else:
        waveform = read_place(clip.path, clip.place)
        n_found = len(waveform)
        if n_samples is not None:
            waveform = waveform[start : start + n_samples]
    if n_found != clip.n_samples:
        path = shown(clip.path, clip.place)
        if clip.place != WHOLE or audio_info(clip.path).n_samples == n_found:
            check_n_samples(str(path), clip.n_samples, n_found)
        raise DataError(
            f"{path}: {n_found} samples at 16 kHz, its header says {clip.n_samples}; "
            "write it again or leave it out"
        )
    return waveform


def reading_from(waveforms: Mapping[str, NDArray[np.float32]]) -> ReadClip:
    """Reads clips from audio in memory, by id."""

    def read(clip: Clip, start: int = 0, n_samples: int | None = None) -> NDArray[np.float32]:
        waveform = waveforms[clip.id]
        return waveform if n_samples is None else waveform[start : start + n_samples]

    return read
