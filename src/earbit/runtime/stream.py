"""Runs a program on audio that arrives in chunks, as `Session.stream` gives it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit import _core
from earbit.errors import ConfigError, DataError, FormatError
from earbit.frames import FRAME_RATE_HZ
from earbit.runtime.arguments import is_number, sample_rate
from earbit.runtime.chunk_resampler import ChunkResampler
from earbit.runtime.core_errors import data_errors
from earbit.runtime.given_head import given_head
from earbit.runtime.greedy_stream import GreedyStream
from earbit.runtime.program_file import Head
from earbit.runtime.results import scores_of
from earbit.runtime.speech_segments import SAMPLE_RATE_HZ
from earbit.runtime.waveform import checked_samples, level_problem, warn_of_level
from earbit.runtime.whole_clip import obstacle, require_streaming

PER_CLIP = ("class", "vector")
"""Kinds of heads with one row of scores, which a stream computes over a window."""


class Stream:
    """Features and scores of audio that arrives in chunks; `Session.stream` makes it.

    All rows are those of `Session.run` on the whole audio, bit by bit, for chunks of any sizes.
    Memory does not grow with the audio, as long as results are read.  Streams share the program of
    their session; each may be used by one thread after another, and all at the same time.
    """

    def __init__(
        self,
        path: Path,
        program: _core.Program,
        output: int,
        head: Head | None,
        threads: int,
        *,
        has_frames: bool,
        window_s: float,
    ) -> None:
        if not is_number(window_s) or not 0.1 <= window_s <= 3600:
            raise ConfigError(f"window_s={window_s!r}; allowed are numbers from 0.1 to 3600")
        self._path, self._program, self._head, self._threads = path, program, head, threads
        # Also without frames: scores are those of features that know all audio before them.
        require_streaming(str(path), program, [output])
        self._has_frames, self._output = has_frames, output
        self._ids = [output] if has_frames else []
        self._of_head = [] if self._head is None else self._values_of(self._head)
        self._ids += self._of_head
        if not self._ids:
            raise ConfigError("frames=False for a program without a head; nothing would be left")
        self._stream = _core.Stream(self._program, self._ids, threads)
        self._window_rows = max(1, round(window_s * FRAME_RATE_HZ))
        self._lock = threading.RLock()
        self._begin()

    def _values_of(self, head: Head) -> list[int]:
        """Values that the scores follow from: the scores themselves where they can be streamed."""
        if head.kind in PER_CLIP:
            return _core.streamed_on_the_way(self._program, head.value)
        # Without its scores a program still has features.
        return [head.value] if obstacle(self._program, [head.value]) is None else []

    def _begin(self) -> None:
        self._resampler = ChunkResampler()
        self._is_warned = self._is_broken = False
        # Arrays without rows, which have the width of the values.
        empty = [[rows] for rows in self._stream.take()]
        for value, (rows,) in zip(self._ids, empty, strict=True):
            if rows.dtype != np.float32 or rows.ndim != 2:
                raise FormatError(f"value {value} of the program is not of floats; export it again")
        self._frames = empty.pop(0) if self._has_frames else []
        self._rows = empty
        labels = () if self._head is None else self._head.labels
        self._decoder = GreedyStream(labels)

    @property
    def latency_s(self) -> float:
        """Seconds from the start of a frame to the audio that its features wait for."""
        return _core.latency(self._program, [self._output]) / SAMPLE_RATE_HZ

    @property
    def seconds(self) -> float:
        """Audio so far, at 16 kHz."""
        return self._stream.n_samples / SAMPLE_RATE_HZ

    @property
    def n_bytes(self) -> int:
        """Memory of the rows that the program keeps for later rows."""
        return self._stream.n_bytes

    def accept(self, samples: NDArray[Any], rate_hz: int = SAMPLE_RATE_HZ) -> None:
        """Adds mono audio in [-1, 1], of any length and rate; resamples rates other than 16 kHz.

        Raises DataError for audio that is not of floats or not finite, after `finish`, and after
        an interruption, and ConfigError for a rate outside of 1,000 to 768,000.  Warns once with a
        LevelWarning when the audio peaks at more than 8 times full scale.
        """
        rate_hz = sample_rate(rate_hz)
        audio = checked_samples(samples)
        with self._lock:
            problem = None if self._is_warned else level_problem(audio)
            with self._whole():
                self._run(self._resampler.add(audio, rate_hz))
            if problem is not None:
                self._is_warned = True
                warn_of_level(problem)

    def finish(self) -> None:
        """Ends the audio: the last frames, which waited for more, are computed.

        Raises DataError if the stream is finished already, and after an interruption.
        """
        with self._lock, self._whole():
            self._run([self._resampler.end()])
            self._stream.finish()
            self._take()

    def reset(self) -> None:
        """Begins again with other audio; results that were not read are lost.

        Raises DataError in a signal handler that interrupts another call.
        """
        with self._lock, data_errors("reset of a stream"):
            self._stream.reset()
            self._begin()

    def frames(self) -> NDArray[np.float32]:
        """Features since the last call, (n, width) float32; n may be 0.

        Raises ConfigError for a stream made with frames=False.
        """
        if not self._has_frames:
            raise ConfigError("this stream was made with frames=False; make one with frames=True")
        with self._lock:
            return _read(self._frames)

    def scores(self) -> NDArray[np.float32] | None:
        """Scores of the head.

        For a class or a vector: (labels,) of the last `window_s` seconds, the features of which
        know the audio before them; None while there is too little audio.  For a sequence or
        segments: the rows since the last call, (n, labels).  Raises ConfigError for a program
        without a head, UnsupportedError for a head that needs the whole clip.
        """
        head = self._given_head()
        with self._lock:
            if head.kind not in PER_CLIP:
                return _read(self._rows[0])
            given = [np.concatenate(kept)[-self._window_rows :] for kept in self._rows]
        if not all(len(rows) for rows in given):
            return None
        with data_errors("a window of a stream"):
            try:
                (found,) = _core.run_from(
                    self._program, self._of_head, given, [head.value], self._threads
                )
            except _core.UnfitRows:
                raise
            except ValueError:
                return None  # fewer frames than a head of convolutions needs
        return scores_of(head, found)

    def text(self) -> str:
        """The text since the last call: greedy CTC decoding of the rows that `scores` would give.

        The texts of all calls, joined, are `Session.text` of the whole audio.  Raises what `scores`
        raises, and ConfigError for a head of another kind.
        """
        given_head(self._head, "sequence")
        self._given_head()
        with self._lock:
            rows = np.concatenate(self._rows[0])
            decoder = copy.copy(self._decoder)
            text = decoder.add(rows)
            # Last, so that an interruption loses no text.
            self._decoder, self._rows[0] = decoder, [rows[:0]]
            return text

    def _given_head(self) -> Head:
        head = given_head(self._head)
        if not self._of_head:
            require_streaming(f"the head of {self._path}", self._program, [head.value])
        return head

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Context for work after whose end in the middle, as by Ctrl-C, audio is missing."""
        if self._stream.is_finished:
            raise DataError("the stream is finished; reset it for other audio")
        if self._is_broken:
            raise DataError("the stream was interrupted or failed; reset it for other audio")
        self._is_broken = True
        with data_errors("audio of a stream"):
            yield
        self._is_broken = False

    def _run(self, chunks: Iterable[NDArray[np.float32]]) -> None:
        for chunk in chunks:
            self._stream.accept(np.ascontiguousarray(chunk))
        self._take()

    def _take(self) -> None:
        """Appends new rows to the pending results and drops rows older than the window."""
        new = self._stream.take()
        lists = [self._frames, *self._rows] if self._has_frames else self._rows
        for kept, rows in zip(lists, new, strict=True):
            if len(rows):
                kept.append(rows)
        if self._head is not None and self._head.kind in PER_CLIP:
            for kept in self._rows:
                while len(kept) > 1 and sum(map(len, kept[1:])) >= self._window_rows:
                    del kept[0]


def _read(kept: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The rows of a list of arrays, of which none is left."""
    rows = np.concatenate(kept)
    kept[:] = [rows[:0]]
    return rows
