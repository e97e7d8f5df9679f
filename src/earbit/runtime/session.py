"""Runs a program on audio: features, and a label or a text where it has a head."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from earbit import _core
from earbit.errors import ConfigError, DataError, FormatError
from earbit.frames import n_samples_of
from earbit.runtime.arguments import check_layer, check_segments, thread_count, value_ids
from earbit.runtime.core_errors import data_errors
from earbit.runtime.given_head import given_head
from earbit.runtime.greedy_text import greedy_text
from earbit.runtime.likeliest import check_threshold, is_rejected, likeliest, probability_of
from earbit.runtime.match import MIN_QUERY_FRAMES, match_scores
from earbit.runtime.op_times import OpTime, op_times
from earbit.runtime.program_file import Head, read_program
from earbit.runtime.results import features_of, scores_of
from earbit.runtime.speech_segments import SAMPLE_RATE_HZ, Segment, speech_segments
from earbit.runtime.stream import Stream
from earbit.runtime.waveform import checked_waveform, no_waveform


class Session:
    """A loaded program, immutable and safe to share between threads.

    path: a file of `earbit export`;  threads: number of cores of one call; results do not depend
    on it.  Raises FormatError for a damaged or foreign file, ConfigError when EARBIT_ISA
    names an instruction set that is not available.

    Copies and pickled sessions read the file again and raise FormatError if it has changed.
    """

    def __init__(self, path: str | bytes | os.PathLike[str], threads: int = 1) -> None:
        self.threads = thread_count(threads)
        chosen_isa()
        file = read_program(path)
        self.path = file.path.absolute()
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
        return features_of(wanted, self.values(waveform, wanted), layers)

    def scores(self, waveform: NDArray[Any]) -> NDArray[np.float32]:
        """Computes scores of the head: float32 (labels,) per clip, or (frames, labels) of symbols.

        The largest is that of the likeliest label; a softmax over the labels gives probabilities.
        For other kinds: (columns,) of a vector, or (frames, speakers) of log odds.
        Raises DataError as `run` does, and ConfigError for a program without a head.
        """
        head = self._given_head()
        return scores_of(head, self._values_with_head(waveform, [head.value])[0])

    @property
    def threshold(self) -> float | None:
        """Probability below which `label` rejects a label; None if the program rejects none."""
        least = None if self.head is None else self.head.min_log_odds
        return None if least is None else probability_of(least)

    def label(self, waveform: NDArray[Any], *, threshold: float | None = None) -> str | None:
        """The likeliest label of the audio, for a head of kind `class` with one slot.

        None if its probability is below the threshold: no keyword was spoken.  threshold: 0 to
        below 1, by default that of the program.  Raises what `scores` raises, and ConfigError for
        a head of another kind or several slots.
        """
        head = self._given_head("class")
        if len(head.slots) > 1:
            raise ConfigError(f"the program's head has {len(head.slots)} slots; call `slot_labels`")
        check_threshold(head, threshold)
        return self._labels(waveform, threshold)[0]

    def slot_labels(self, waveform: NDArray[Any]) -> tuple[str | None, ...]:
        """The likeliest label of every slot, for a head of kind `class`; None as `label` gives it.

        Raises what `scores` raises, and ConfigError for a head of another kind.
        """
        return self._labels(waveform, None)

    def embedding(self, waveform: NDArray[Any]) -> NDArray[np.float32]:
        """The vector of the audio, of length 1, for a head of kind `vector`: (columns,).

        The product of two vectors is their cosine.  Raises what `scores` raises, and ConfigError
        for a head of another kind.
        """
        self._given_head("vector")
        vector = self.scores(waveform)
        # A running sum has one order of additions, so libearbit gives the same bits.
        squares = np.cumsum(np.square(vector, dtype=np.float64))
        unit: NDArray[np.float32] = vector / np.float32(max(math.sqrt(squares[-1]), 1e-12))
        return unit

    def match(
        self, query: NDArray[Any], documents: Sequence[NDArray[Any]], *, layer: int
    ) -> NDArray[np.float32]:
        """Scores of documents for a spoken query, by dynamic time warping: (documents,).

        A score tells how much better a document matches than the others do, in standard
        deviations.  layer: a hidden state, 0 is the encoder's input.  Needs no head.  Raises
        DataError as `run` does and for a query of less than 0.105 s, ConfigError for fewer than
        two documents and an unknown layer.
        """
        check_layer(layer, len(self.outputs))
        if len(documents) < 2:
            raise ConfigError(f"{len(documents)} documents; a score compares at least two")
        state = self.outputs[layer : layer + 1]
        of_query, *of_documents = (
            features_of(state, self.values(waveform, state), "last")
            for waveform in (query, *documents)
        )
        if len(of_query) < MIN_QUERY_FRAMES:
            n_samples = n_samples_of(MIN_QUERY_FRAMES)
            raise DataError(f"a query of {len(query)} samples; at least {n_samples} are needed")
        return next(match_scores([of_query], of_documents))

    def segments(
        self, waveform: NDArray[Any], *, threshold: float = 0.5, window: int = 11
    ) -> list[Segment]:
        """Segments (start_s, end_s, speaker) of the audio, for a head of kind `segments`.

        threshold: probability from which a frame counts as speech; window: frames of the median
        filter, odd.  Raises what `scores` raises, and ConfigError for a head of another kind and
        invalid parameters.
        """
        head = self._given_head("segments")
        check_segments(threshold, window)
        scores = self.scores(waveform)
        return speech_segments(scores, head.labels, threshold=threshold, window=window)

    def text(self, waveform: NDArray[Any]) -> str:
        """The text of the audio by greedy CTC decoding, for a head of kind `sequence`.

        Raises what `scores` raises, and ConfigError for a head of another kind.
        """
        return greedy_text(self._given_head("sequence").labels, self.scores(waveform))

    def stream(self, *, frames: bool = True, window_s: float = 1.0) -> Stream:
        """A stream: features, scores and text of audio that arrives in chunks.

        frames: whether features are kept until `Stream.frames` reads them;  window_s: seconds of
        the last audio that the scores of a class are computed of.  Raises UnsupportedError, naming
        the op and what to use instead, for a program that needs the whole clip.
        """
        parts = (self.path, self._program, self.outputs[-1], self.head, self.threads)
        return Stream(*parts, has_frames=frames, window_s=window_s)

    def run_with_scores(
        self, waveform: NDArray[Any], layers: Literal["last", "all"] = "last"
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`run` and `scores` in one pass over the audio."""
        head, wanted = self._given_head(), self._wanted(layers)
        *results, scores = self._values_with_head(waveform, [*wanted, head.value])
        return features_of(wanted, results, layers), scores_of(head, scores)

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
        checked = value_ids(ids, self._program.n_values)
        return self._computed(checked_waveform(waveform), checked)

    def _labels(self, waveform: NDArray[Any], threshold: float | None) -> tuple[str | None, ...]:
        head = self._given_head("class")
        found = likeliest(head, self.scores(waveform))
        return tuple(None if is_rejected(head, f, threshold) else f.label for f in found)

    def _values_with_head(self, waveform: NDArray[Any], ids: Sequence[int]) -> list[NDArray[Any]]:
        """Values of the program; raises DataError for audio that is too short for its head."""
        return self._computed(_audio_of_head(self._given_head(), waveform), ids)

    def _computed(self, audio: NDArray[np.float32], ids: Sequence[int]) -> list[NDArray[Any]]:
        with data_errors(f"audio of {audio.size} samples"):
            return self._program.run(audio, list(ids), self.threads)

    def profile(self, waveform: NDArray[Any]) -> tuple[OpTime, ...]:
        """Time and share of the ceiling of every op in order, whether it ran in a chain or not.

        Raises DataError as `scores` does if the program has a head, else as `run`.
        """
        head = self.head
        audio = checked_waveform(waveform) if head is None else _audio_of_head(head, waveform)
        with data_errors(f"audio of {audio.size} samples"):
            return op_times(self._program.profile(audio, self.threads), self.threads)

    def _wanted(self, layers: Literal["last", "all"]) -> tuple[int, ...]:
        if layers not in ("last", "all"):
            raise ConfigError(f"layers={layers!r}; allowed: 'last', 'all'")
        return self.outputs if layers == "all" else self.outputs[-1:]

    def _given_head(self, kind: str | None = None) -> Head:
        return given_head(self.head, kind)

    def kernels(self) -> dict[str, str]:
        """Names of the kernels selected for this CPU, by computation."""
        return {kernel["op"]: kernel["name"] for kernel in _core.kernels() if kernel["chosen"]}


def _audio_of_head(head: Head, waveform: NDArray[Any]) -> NDArray[np.float32]:
    """Checked audio; raises DataError if it is too short for the head."""
    audio = checked_waveform(waveform)
    if audio.size < head.min_samples:
        raise DataError(
            f"audio of {audio.size} samples; the program's head needs at least "
            f"{head.min_samples} ({head.min_samples / SAMPLE_RATE_HZ:.3f} s); pad it or "
            "leave it out"
        )
    return audio


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
