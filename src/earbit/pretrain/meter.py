"""Speed and memory of a training, for the log: the part of a line that differs between two runs."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

T = TypeVar("T")
MACHINE = "machine"
"""Key of these values in a line of log.jsonl; all other values follow from the run's settings."""
KIB_PER_GB = 1e9 / 1024


class Meter:
    """Measures the updates since the last line of the log."""

    def __init__(self, n_ranks: int = 1) -> None:
        self.n_ranks = n_ranks
        self._begin()

    def _begin(self) -> None:
        self.start_s = time.perf_counter()
        self.waited_s = self.audio_s = 0.0

    def waiting(self, updates: Iterable[T]) -> Iterator[T]:
        """The same updates; the time until each is there counts as waiting for data."""
        iterator = iter(updates)
        while True:
            before = time.perf_counter()
            try:
                update = next(iterator)
            except StopIteration:
                return
            self.waited_s += time.perf_counter() - before
            yield update

    def add(self, audio_s: float) -> None:
        """Counts audio of this rank that the model was trained on."""
        self.audio_s += audio_s

    def read(self) -> dict[str, float]:
        """Means since the last call, of all ranks if they read equal amounts; peaks of memory.

        audio_s_per_s: seconds of audio trained on per second.  wait_share: share of the time in
        which this process waited for data.  memory_gb, cuda_memory_gb: peak memory of this process
        since its start, and of tensors on its GPU, in 10^9 bytes.
        """
        elapsed_s = max(time.perf_counter() - self.start_s, 1e-9)
        values = {
            "audio_s_per_s": self.audio_s * self.n_ranks / elapsed_s,
            "wait_share": self.waited_s / elapsed_s,
            "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_GB,
        }
        if torch.cuda.is_available():
            values["cuda_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
        self._begin()
        return {name: float(f"{value:.4g}") for name, value in values.items()}
