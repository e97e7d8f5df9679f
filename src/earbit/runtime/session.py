"""Runs a program on audio: features, and a label or a text where it has a head."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from earbit import _core
from earbit.errors import ConfigError, DataError, FormatError
from earbit.runtime.greedy_text import greedy_text
from earbit.runtime.likeliest import likeliest
from earbit.runtime.program_file import Head, read_program
from earbit.runtime.speech_segments import Segment, speech_segments
from earbit.runtime.waveform import checked_waveform, no_waveform

MAX_THREADS = 256
METHODS = {
    "class": "label",
    "sequence": "text",
    "vector": "embedding",
    "segments": "segments",
}
"""Kinds of heads, and the method of a session for each."""


class Session:
    """A loaded program, immutable and safe to share between threads.

    path: a file of `earbit export`;  threads: number of cores of one call; results do not depend
    on it.  Raises FormatError for a damaged or foreign file, ConfigError when EARBIT_ISA
    names an instruction set that is not available.

    Copies and pickled sessions read the file again and raise FormatError if it has changed.
    """

    def __init__(self, path: str | bytes | os.PathLike[str], threads: int = 1) -> None:
        self.threads = _n_threads(threads)
        chosen_isa()
        file = read_program(path)
        self.path = Path(os.fsdecode(path)).absolute()
        """Path of the program."""
        self.origin: dict[str, Any] = file.origin
        """Source model and plan of the program."""
        self.bits = file.bits
        """Ids of packed inputs by leaf name, for `values`."""
        self.outputs = file.outputs
        """Ids of hidden states, for `values`, with the last layer last."""
        self.labels = None if file.head is None else file.head.labels
        """Classes, symbols or speakers of the head, the columns of `scores`; empty for a head of
        kind `vector`, None without a head."""
        self.kind = None if file.head is None else file.head.kind
        """Kind of the head, a key of METHODS; None without a head."""
        self.head = file.head
        """Kind, labels and slots of the head; None without a head."""
        self._digest = file.digest
        self._program = file.program

    def __repr__(self) -> str:
        name, precisions = self.origin.get("name"), self.origin.get("precisions")
        of_model = [str(name)] if name else []
        if isinstance(precisions, list):
            of_model.append("+".join(map(str, precisions)))
        return f"<{', '.join([f'Session {self.path}', *of_model, f'threads={self.threads}'])}>"

    def __reduce__(self) -> tuple[Callable[..., Session], tuple[type[Session], str, int, str]]:
        return _opened_again, (type(self), str(self.path), self.threads, self._digest)

    def run(
        self, waveform: NDArray[Any], layers: Literal["last", "all"] = "last"
    ) -> NDArray[np.float32]:
        """Computes features of mono 16 kHz audio in [-1, 1], one vector per 20 ms.

        Returns (frames, width) float32 of the last layer, or (layers + 1, frames, width) of all
        hidden states, the encoder's input first.  Raises DataError for audio that is too short,
        too long for the memory, not of floats or not finite, FormatError for a program whose
        outputs are not floats of one shape, ConfigError for other `layers`.  Warns with a
        LevelWarning when the audio peaks at more than 8 times full scale.
        """
        wanted = self._wanted(layers)
        return _features(wanted, self.values(waveform, wanted), layers)

    def scores(self, waveform: NDArray[Any]) -> NDArray[np.float32]:
        """Computes scores of the head: float32 (labels,) per clip, or (frames, labels) of symbols.

        The largest is that of the likeliest label; a softmax over the labels gives probabilities.
        For other kinds: (columns,) of a vector, or (frames, speakers) of log odds.
        Raises DataError as `run` does, and ConfigError for a program without a head.
        """
        head = self._given_head()
        return _scores(head, self.values(waveform, [head.value])[0])

    def label(self, waveform: NDArray[Any]) -> str:
        """The likeliest label of the audio, for a head of kind `class` with one slot.

        Raises what `scores` raises, and ConfigError for a head of another kind or several slots.
        """
        head = self._given_head("class")
        if len(head.slots) > 1:
            raise ConfigError(f"the program's head has {len(head.slots)} slots; call `slot_labels`")
        return self.slot_labels(waveform)[0]

    def slot_labels(self, waveform: NDArray[Any]) -> tuple[str, ...]:
        """The likeliest label of every slot, for a head of kind `class`.

        Raises what `scores` raises, and ConfigError for a head of another kind.
        """
        head = self._given_head("class")
        return tuple(label for label, _ in likeliest(head, self.scores(waveform)))

    def embedding(self, waveform: NDArray[Any]) -> NDArray[np.float32]:
        """The vector of the audio, of length 1, for a head of kind `vector`: (columns,).

        The product of two vectors is their cosine.  Raises what `scores` raises, and ConfigError
        for a head of another kind.
        """
        self._given_head("vector")
        vector = self.scores(waveform)
        unit: NDArray[np.float32] = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return unit

    def segments(
        self, waveform: NDArray[Any], *, threshold: float = 0.5, window: int = 11
    ) -> list[Segment]:
        """Segments (start_s, end_s, speaker) of the audio, for a head of kind `segments`.

        threshold: probability from which a frame counts as speech; window: frames of the median
        filter, odd.  Raises what `scores` raises, and ConfigError for a head of another kind and
        invalid parameters.
        """
        head = self._given_head("segments")
        if not 0 < threshold < 1:
            raise ConfigError(f"threshold={threshold!r}; allowed are numbers between 0 and 1")
        if not _is_whole(window) or window < 1 or window % 2 == 0:
            raise ConfigError(f"window={window!r}; allowed are odd numbers from 1")
        scores = self.scores(waveform)
        return speech_segments(scores, head.labels, threshold=threshold, window=window)

    def text(self, waveform: NDArray[Any]) -> str:
        """The text of the audio by greedy CTC decoding, for a head of kind `sequence`.

        Raises what `scores` raises, and ConfigError for a head of another kind.
        """
        return greedy_text(self._given_head("sequence").labels, self.scores(waveform))

    def run_with_scores(
        self, waveform: NDArray[Any], layers: Literal["last", "all"] = "last"
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`run` and `scores` in one pass over the audio."""
        head, wanted = self._given_head(), self._wanted(layers)
        *results, scores = self.values(waveform, [*wanted, head.value])
        return _features(wanted, results, layers), _scores(head, scores)

    def run_batch(
        self, waveforms: Iterable[NDArray[Any]], layers: Literal["last", "all"] = "last"
    ) -> list[NDArray[np.float32]]:
        """`run` for every waveform. Lengths may differ; nothing is padded.

        Raises what `run` raises, with the number of the waveform, from 0 on.
        """
        if isinstance(waveforms, (str, bytes, os.PathLike)):
            raise no_waveform(waveforms)
        results = []
        for i, waveform in enumerate(waveforms):
            try:
                results.append(self.run(waveform, layers))
            except DataError as error:
                raise DataError(f"waveform {i}: {error}") from error
        return results

    def values(self, waveform: NDArray[Any], ids: Sequence[int]) -> list[NDArray[Any]]:
        """Values of the program by id: float32 or uint8 codes (frames, columns), or bits.

        Bits are uint64 (groups, frames, words), the first of a group in bit 0 of its first word.
        ids: from `outputs` or `bits`, or any other; 0 is the audio.  Raises ConfigError for invalid
        or unknown ids, and DataError for audio as `run` does.
        """
        checked = _value_ids(ids, self._program.n_values)
        audio = checked_waveform(waveform)
        with _data_errors(audio):
            return self._program.run(audio, checked, self.threads)

    def profile(self, waveform: NDArray[Any]) -> list[tuple[str, float]]:
        """Seconds of every op in order; ops that ran together block by block are joined: `a+b`."""
        audio = checked_waveform(waveform)
        with _data_errors(audio):
            return self._program.profile(audio, self.threads)

    def _wanted(self, layers: Literal["last", "all"]) -> tuple[int, ...]:
        if layers not in ("last", "all"):
            raise ConfigError(f"layers={layers!r}; allowed: 'last', 'all'")
        return self.outputs if layers == "all" else self.outputs[-1:]

    def _given_head(self, kind: str | None = None) -> Head:
        if self.head is None:
            raise ConfigError(
                "the program has no head, so no labels; `earbit superb MODEL --out DIR` trains one "
                "and `earbit export MODEL --head DIR --out FILE` packs it"
            )
        if kind not in (None, self.head.kind):
            raise ConfigError(
                f"the program's head is of kind {self.head.kind!r}; call "
                f"`{METHODS[self.head.kind]}` of the session"
            )
        return self.head

    def kernels(self) -> dict[str, str]:
        """Names of the kernels selected for this CPU, by computation."""
        return {kernel["op"]: kernel["name"] for kernel in _core.kernels() if kernel["chosen"]}


def _opened_again(kind: type[Session], path: str, threads: int, digest: str) -> Session:
    """Opens the file of a copied session; raises FormatError if it has changed."""
    session = kind(path, threads)
    if session._digest != digest:
        raise FormatError(
            f"{path}: the file has changed since the session was made: its digest was {digest} "
            f"and is {session._digest} now; restore the file, or make a new Session of it"
        )
    return session


def chosen_isa() -> str:
    """The instruction set of the kernels; raises ConfigError for an invalid EARBIT_ISA."""
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
    if head.kind in ("sequence", "segments"):
        return result
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


def _value_ids(given: Any, n_values: int) -> list[int]:
    """Ids of values. Raises ConfigError for invalid ids and ids that the program lacks."""
    allowed = f"it has 0 to {n_values - 1}"
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ConfigError(f"values {given!r} of the program; give a list of ids, {allowed}")
    ids = list(given)
    for one in ids:
        if not _is_whole(one) or not 0 <= one < n_values:
            of_leaf = "; of a leaf, session.bits has the id" if isinstance(one, str) else ""
            raise ConfigError(f"value {one!r} of the program; {allowed}{of_leaf}")
    return [int(one) for one in ids]


def _is_whole(given: Any) -> bool:
    return isinstance(given, (int, np.integer)) and not isinstance(given, bool)


def _n_threads(given: Any) -> int:
    """A number of threads. Raises ConfigError for an invalid number."""
    n = int(given) if _is_whole(given) else 0
    if not 1 <= n <= MAX_THREADS:
        raise ConfigError(f"threads={given!r}; allowed: whole numbers from 1 to {MAX_THREADS}")
    return n
