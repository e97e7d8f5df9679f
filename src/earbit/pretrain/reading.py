"""How a training reads its clips: from memory, in worker processes, and without damaged ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earbit.audio.clips import Clip, ClipTable, ReadClip
from earbit.audio.quarantine import QUARANTINE_NAME, append_entries, clip_entries
from earbit.audio.workers import auto_workers
from earbit.errors import DataError
from earbit.pretrain.data import MicroBatch
from earbit.pretrain.machine import Machine
from earbit.progress import say_always
from earbit.units.labelled import TrainingData

BYTES_PER_SAMPLE = 4


class KeptInMemory:
    """Keeps every clip in memory after it is decoded for the first time.

    A crop of a clip that is damaged elsewhere is read from its file, so that what is trained on
    does not depend on whether clips are kept.
    """

    def __init__(self, read: ReadClip) -> None:
        self._read = read
        self._waveforms: dict[str, NDArray[np.float32]] = {}
        self._damaged: set[str] = set()

    def __call__(
        self, clip: Clip, start: int = 0, n_samples: int | None = None
    ) -> NDArray[np.float32]:
        """Reads like the reader that it wraps."""
        waveform = self._waveforms.get(clip.id)
        if waveform is None and clip.id not in self._damaged:
            try:
                waveform = self._waveforms[clip.id] = self._read(clip)
            except DataError:
                self._damaged.add(clip.id)
        if waveform is None:
            return self._read(clip, start, n_samples)
        return waveform if n_samples is None else waveform[start : start + n_samples]


def kept_in_memory(data: TrainingData, machine: Machine) -> TrainingData:
    """Data whose clips are kept in memory, if all fit into `keep_in_memory_gb`.

    Worker processes would each keep their own, so with a number of them, nothing is kept.
    """
    n_samples = int(data.train.n_samples.sum()) + int(data.valid.n_samples.sum())
    fits = BYTES_PER_SAMPLE * n_samples <= machine.keep_in_memory_gb * 1e9
    if machine.workers > 0 or not fits:
        return data
    return dataclasses.replace(data, read=KeptInMemory(data.read))


def n_workers_for(data: TrainingData, machine: Machine, n_ranks_here: int = 1) -> int:
    """Number of worker processes of a rank; -1 of the machine means none for clips in memory.

    n_ranks_here: ranks on this machine, which share its cores.
    """
    if machine.workers >= 0:
        return machine.workers
    return 0 if isinstance(data.read, KeptInMemory) else auto_workers(n_ranks_here)


def record_unreadable(out_dir: Path, clips: ClipTable, batches: Iterable[MicroBatch]) -> None:
    """Appends clips that could not be decoded to quarantine.jsonl, each once, and prints them.

    Several ranks may call it.  Raises DataError if the file cannot be written.
    """
    found = {name: reason for batch in batches for name, reason in batch.unreadable}
    if found:
        for entry in append_entries(out_dir, clip_entries(clips, found)):
            say_always(f"left out, see {out_dir / QUARANTINE_NAME}: {entry['reason']}")
