"""Runs a program on audio: features, and labels where it has a head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from earbit import _core
from earbit.errors import ConfigError, DataError, FormatError
from earbit.runtime.program_file import Head, read_program

MIN_SAMPLES = 400
MAX_SAMPLES = 16_000 * 3600 * 4
MAX_THREADS = 256


class Session:
    """A loaded program.  It never changes while it runs, so threads may share it.

    path: a file of `earbit export`;  threads: how many cores one call may use; results do not
    depend on it.  Raises FormatError for a damaged or foreign file, ConfigError when EARBIT_ISA
    names an instruction set that is not available.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        if not 1 <= threads <= MAX_THREADS:
            raise ConfigError(f"threads={threads}; allowed are 1 to {MAX_THREADS}")
        chosen_isa()
        self.threads = threads
        file = read_program(path)
        self.origin: dict[str, Any] = file.origin
        """Which model and plan the program was made from."""
        self.bits = file.bits
        """Packed values by the name of the leaf that reads them, for `values`."""
        self.outputs = file.outputs
        """Values of the hidden states, for `values`; the last layer comes last."""
        self.labels = None if file.head is None else file.head.labels
        """Labels that the program's head tells apart, in the order of `scores`; None without."""
        self._head = file.head
        self._program = file.program

    def run(
        self, waveform: NDArray[Any], layers: Literal["last", "all"] = "last"
    ) -> NDArray[np.float32]:
        """Features of mono 16 kHz audio, floats in [-1, 1], one vector per 20 ms.

        Gives (frames, width) float32 of the last layer, or (layers + 1, frames, width) of all
        hidden states, the encoder's input first.  Raises DataError for audio that is too short,
        too long for the memory, not of floats or not finite, FormatError for a program whose
        outputs are not floats of one shape.
        """
        wanted = self._wanted(layers)
        return _features(wanted, self.values(waveform, wanted), layers)

    def scores(self, waveform: NDArray[Any]) -> NDArray[np.float32]:
        """What the program's head gives: float32 (labels,), the largest for the likeliest label.

        A softmax makes probabilities of them.  Raises DataError as `run` does, and ConfigError for
        a program without a head.
        """
        head = self._given_head()
        return _scores(head, self.values(waveform, [head.value])[0])

    def label(self, waveform: NDArray[Any]) -> str:
        """The likeliest label of the audio; raises what `scores` raises."""
        return self._given_head().labels[int(np.argmax(self.scores(waveform)))]

    def run_with_scores(
        self, waveform: NDArray[Any], layers: Literal["last", "all"] = "last"
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`run` and `scores` in one pass over the audio."""
        head, wanted = self._given_head(), self._wanted(layers)
        *results, scores = self.values(waveform, [*wanted, head.value])
        return _features(wanted, results, layers), _scores(head, scores)

    def run_batch(self, waveforms: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        """`run` of every waveform; they may have different lengths, none is padded."""
        return [self.run(waveform) for waveform in waveforms]

    def values(self, waveform: NDArray[Any], ids: Sequence[int]) -> list[NDArray[Any]]:
        """Any values of the program: float32 or uint8 codes (frames, columns), or packed bits."""
        audio = _checked(waveform)
        with _data_errors(audio):
            return self._program.run(audio, list(ids), self.threads)

    def profile(self, waveform: NDArray[Any]) -> list[tuple[str, float]]:
        """Seconds of every op in order; ops that ran together, block by block, are one: `a+b`."""
        audio = _checked(waveform)
        with _data_errors(audio):
            return self._program.profile(audio, self.threads)

    def _wanted(self, layers: Literal["last", "all"]) -> tuple[int, ...]:
        if layers not in ("last", "all"):
            raise ConfigError(f"layers={layers!r}; allowed are 'last' and 'all'")
        return self.outputs if layers == "all" else self.outputs[-1:]

    def _given_head(self) -> Head:
        if self._head is None:
            raise ConfigError(
                "the program has no head, so no labels; `earbit superb MODEL --out DIR` trains one "
                "and `earbit export MODEL --head DIR --out FILE` packs it"
            )
        return self._head

    def kernels(self) -> dict[str, str]:
        """The kernels that are used on this CPU, by what they compute."""
        return {kernel["op"]: kernel["name"] for kernel in _core.kernels() if kernel["chosen"]}


def chosen_isa() -> str:
    """The instruction set of the kernels; ConfigError when EARBIT_ISA names none of this CPU."""
    try:
        return _core.isa()
    except ValueError as error:
        raise ConfigError(f"EARBIT_ISA: {error}; set it to one of these or unset it") from error


def _features(
    wanted: Sequence[int], results: Sequence[NDArray[Any]], layers: Literal["last", "all"]
) -> NDArray[np.float32]:
    for value, result in zip(wanted, results, strict=True):
        if result.dtype != np.float32 or result.shape != results[0].shape:
            raise FormatError(
                f"output value {value} of the program is {result.dtype} {result.shape}, "
                "expected float32 (frames, width), the same for all outputs; export it again"
            )
    return np.stack(results) if layers == "all" else results[0]


def _scores(head: Head, result: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(result) != 1:
        raise FormatError(
            f"head value {head.value} of the program has {len(result)} rows, expected 1; "
            "export it again"
        )
    scores: NDArray[np.float32] = result[0]
    return scores


@contextmanager
def _data_errors(audio: NDArray[np.float32]) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise DataError(f"audio of {audio.size} samples: {error}") from error
    except MemoryError as error:
        raise DataError(
            f"audio of {audio.size} samples needs more memory than there is; cut it"
        ) from error


def _checked(waveform: NDArray[Any]) -> NDArray[np.float32]:
    try:
        given = np.asarray(waveform)
    except (ValueError, RuntimeError) as error:  # the latter of a tensor that wants a gradient
        raise DataError(f"audio is no array ({error}); give shape (samples,)") from error
    if given.ndim != 1:
        raise DataError(f"audio of shape {given.shape}; give one channel, shape (samples,)")
    if not np.issubdtype(given.dtype, np.floating):
        raise DataError(
            f"audio of type {given.dtype}; give floats in [-1, 1]: divide 16-bit samples by 32768, "
            "or read the file with earbit.read_audio"
        )
    if not MIN_SAMPLES <= given.size <= MAX_SAMPLES:
        raise DataError(
            f"audio of {given.size} samples; allowed are {MIN_SAMPLES} (25 ms, one frame) to "
            f"{MAX_SAMPLES} (4 h); pad it or cut it"
        )
    # A float64 beyond float32 becomes infinite, and is counted as such below.
    with np.errstate(over="ignore"):
        audio = np.ascontiguousarray(given, dtype=np.float32)
    n_bad = int(np.count_nonzero(~np.isfinite(audio)))
    if n_bad:
        raise DataError(f"audio has {n_bad} samples that are NaN or infinite; clean it first")
    return audio
