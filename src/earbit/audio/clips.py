"""Ids, files and lengths of many clips in a few arrays: about 100 bytes per clip.

A list of a million objects takes a gigabyte and is copied to every worker process, since reference
counts touch its pages.  Arrays stay shared.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from lhotse import MonoCut
from numpy.typing import NDArray

from earbit.audio.decode import audio_info, read_audio
from earbit.audio.manifest import check_n_samples
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import DataError


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip and the file that holds it."""

    id: str
    path: Path
    n_samples: int
    """Length at 16 kHz."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / SAMPLE_RATE_HZ


ReadClip = Callable[[Clip], NDArray[np.float32]]
"""Audio of a clip, float32 (n_samples,) at 16 kHz; raises DataError if it cannot be decoded."""


class Texts(Sequence[str]):
    """Texts in one array of bytes."""

    def __init__(self, texts: Iterable[str]) -> None:
        encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
        self._bytes = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        return self._bytes[self._ends[i] : self._ends[i + 1]].decode("utf-8", "surrogateescape")


class ClipTable(Sequence[Clip]):
    """Clips in the order of their ids."""

    def __init__(self, clips: Iterable[Clip]) -> None:
        ordered = sorted(clips, key=lambda clip: clip.id)
        self.ids = Texts(clip.id for clip in ordered)
        self._paths = Texts(str(clip.path) for clip in ordered)
        self.n_samples: NDArray[np.int64] = np.array([c.n_samples for c in ordered], np.int64)

    def __len__(self) -> int:
        return len(self.n_samples)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Clip]: ...
    def __getitem__(self, index: int | slice) -> Clip | Sequence[Clip]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return Clip(self.ids[index], Path(self._paths[index]), int(self.n_samples[index]))

    def __iter__(self) -> Iterator[Clip]:
        return (self[i] for i in range(len(self)))

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


def clip_of(cut: MonoCut) -> Clip:
    """The clip of a cut that is a whole file."""
    sources = cut.recording.sources
    return Clip(cut.id, Path(sources[0].source if sources else ""), cut.recording.num_samples)


def read_clip(clip: Clip) -> NDArray[np.float32]:
    """Decodes a clip: float32 (n_samples,) at 16 kHz.

    Raises DataError if it cannot be decoded or its length differs from that of the clip.
    """
    waveform = read_audio(clip.path)
    if waveform.size != clip.n_samples:
        if audio_info(clip.path).n_samples == waveform.size:
            check_n_samples(str(clip.path), clip.n_samples, waveform.size)
        raise DataError(
            f"{clip.path}: {waveform.size} samples at 16 kHz, its header says {clip.n_samples}; "
            "write it again or leave it out"
        )
    return waveform


def reading_from(waveforms: Mapping[str, NDArray[np.float32]]) -> ReadClip:
    """Reads clips from audio in memory, by id."""
    return lambda clip: waveforms[clip.id]
