"""`earbit run --stream`: labels, text or features of audio while it comes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.live import live_chunks, microphone_chunks
from earbit.errors import ConfigError, DataError, UnsupportedError
from earbit.foreign import refuse_foreign
from earbit.frames import MIN_SAMPLES
from earbit.progress import say
from earbit.runtime.chunk_resampler import ChunkResampler
from earbit.runtime.head_fields import NO_KEYWORD, head_fields
from earbit.runtime.likeliest import check_threshold
from earbit.runtime.session import Session
from earbit.runtime.speech_segments import SAMPLE_RATE_HZ
from earbit.runtime.stream import Stream
from earbit.runtime.waveform import LevelWarning, level_problem
from earbit.runtime.window import Window
from earbit.shipped import program_path
from earbit.terminal import printable

HOP_S = 0.25
"""Time between two looks at the last second, for a head of classes."""
HOP_SAMPLES = round(HOP_S * SAMPLE_RATE_HZ)
Event = dict[str, Any]


def stream_events(
    program: Path, audio: Path | None, *, threshold: float | None = None, threads: int = 1
) -> Iterator[Event]:
    """Results as they come, each with the seconds of audio so far.

    audio: a file, `-` for standard input, None for the microphone.  For a head of classes: the
    label of the last second every HOP_S, for chunks of any sizes, and at the end, also of programs
    that need whole clips;  for a sequence: new text;  without a head: the features of every frame.
    Raises UnsupportedError for other programs that need the whole clip, ConfigError for a head of
    another kind, and DataError for audio that cannot be read or is too short for any result.
    """
    refuse_foreign(program_path(program), "a program that `earbit export` wrote")
    session = Session(program, threads)
    check_threshold(session.head, threshold)
    if session.kind not in (None, "class", "sequence"):
        raise ConfigError(
            f"{program}: a head of kind {session.kind!r} has no results to print in a stream; read "
            "its scores with Session.stream"
        )
    results = _Results(session, threshold, _name_of(audio))
    resampler = ChunkResampler()
    is_open = False
    for samples, rate_hz in microphone_chunks() if audio is None else live_chunks(audio):
        if not is_open and results.is_window:
            say(f"the program needs whole clips: it runs on the last second, every {HOP_S:g} s")
        is_open = True
        for block in resampler.add(samples, rate_hz):
            yield from _named(results.add(block), audio)
    yield from _named(results.add(resampler.end()), audio)
    yield from _named(results.end(), audio)


def changes(events: Iterable[Event]) -> Iterator[Event]:
    """The events without those whose label is that of the event before."""
    last: object = ()
    for event in events:
        if "label" not in event or event["label"] != last:
            last = event.get("label")
            yield event


def _name_of(audio: Path | None) -> str:
    return "--mic" if audio is None else str(audio)


def _named(events: Iterator[Event], audio: Path | None) -> Iterator[Event]:
    """The events; errors about the audio begin with its name."""
    try:
        yield from events
    except DataError as error:
        raise DataError(f"{_name_of(audio)}: {error}") from error


class _Results:
    """Results of audio at 16 kHz that is added in blocks of any size."""

    def __init__(self, session: Session, threshold: float | None, name: str) -> None:
        self._session, self._threshold, self._name = session, threshold, name
        self._stream = _stream_of(session)
        self._is_warned = False
        self._n_samples = 0
        self._n_given = 0
        """Number of results."""
        self._given_at = -1
        """Samples before the last result."""

    @property
    def is_window(self) -> bool:
        """Whether the program needs whole clips, of which each look is one."""
        return isinstance(self._stream, Window)

    def add(self, samples: NDArray[np.float32]) -> Iterator[Event]:
        """Adds a block; results that it completes."""
        if self._session.kind != "class":
            self._accept(samples)
            yield from self._counted(self._new())
            return
        while len(samples):
            n = HOP_SAMPLES - self._n_samples % HOP_SAMPLES
            self._accept(samples[:n])
            if self._n_samples % HOP_SAMPLES == 0:
                yield from self._counted(self._look())
            samples = samples[n:]

    def end(self) -> Iterator[Event]:
        """Ends the audio; the last results.  Raises DataError if it was too short for any."""
        if not self._n_samples:
            raise DataError("no samples in it; leave it out")
        self._stream.finish()
        # A stream has more frames after its end; a window has been looked at if it ends on a hop.
        if self._session.kind != "class":
            yield from self._counted(self._new())
        elif not (self.is_window and self._given_at == self._n_samples):
            yield from self._counted(self._look())
        head = self._session.head
        least = MIN_SAMPLES if head is None else max(MIN_SAMPLES, head.min_samples)
        if not self._n_given and self._n_samples < least:
            n = f"{self._n_samples} sample{'' if self._n_samples == 1 else 's'}"
            raise DataError(
                f"audio of {n} at 16 kHz; the program needs at least {least} "
                f"({least / SAMPLE_RATE_HZ:.3f} s); pad it or leave it out"
            )

    def _accept(self, samples: NDArray[np.float32]) -> None:
        if not self._is_warned and (problem := level_problem(samples)):
            self._is_warned = True
            say(f"{self._name}: {problem}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LevelWarning)  # it is said with the name
            self._stream.accept(samples)
        self._n_samples += len(samples)

    def _counted(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            self._n_given += 1
            self._given_at = self._n_samples
            yield event

    def _new(self) -> Iterator[Event]:
        assert isinstance(self._stream, Stream)
        if self._session.kind is None:
            for row in self._stream.frames():
                yield {"frame": self._n_given, "features": row.tolist()}
        elif text := self._stream.text():
            yield {"seconds": self._seconds(), "text": text}

    def _look(self) -> Iterator[Event]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LevelWarning)
            scores = self._stream.scores()
        if scores is not None:
            assert self._session.head is not None
            fields = head_fields(self._session.head, scores, self._threshold)
            yield {"seconds": self._seconds(), **fields}

    def _seconds(self) -> float:
        return self._n_samples / SAMPLE_RATE_HZ


def _stream_of(session: Session) -> Stream | Window:
    try:
        return session.stream(frames=session.head is None)
    except UnsupportedError:
        if session.kind != "class":
            raise
        return Window(session)


def as_text(event: Event) -> str:
    """An event for people: a line for a label or a frame, text without an end of line."""
    if "text" in event:
        return printable(event["text"])
    if "label" in event:
        label = NO_KEYWORD if event["label"] is None else event["label"]
        return f"{event['seconds']:8.2f} s  {printable(label)} ({event['probability']:.2f})\n"
    return f"frame {event['frame']}: {' '.join(f'{x:.4g}' for x in event['features'])}\n"
