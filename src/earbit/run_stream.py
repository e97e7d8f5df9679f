"""`earbit run --stream`: labels, text or features of audio while it comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earbit.audio.live import live_chunks, microphone_chunks
from earbit.errors import ConfigError, UnsupportedError
from earbit.foreign import refuse_foreign
from earbit.progress import say
from earbit.runtime.head_fields import NO_KEYWORD, head_fields
from earbit.runtime.likeliest import check_threshold
from earbit.runtime.session import Session
from earbit.runtime.stream import Stream
from earbit.runtime.window import Window
from earbit.shipped import program_path
from earbit.terminal import printable

HOP_S = 0.25
"""Time between two looks at the last second, for a head of classes."""
Event = dict[str, Any]


def stream_events(
    program: Path, audio: Path | None, *, threshold: float | None = None, threads: int = 1
) -> Iterator[Event]:
    """Results as they come, each with the seconds of audio so far.

    audio: a file, `-` for standard input, None for the microphone.  For a head of classes:
    the label of the last second when it changes, also of programs that need whole clips;  for a
    sequence: new text;  without a head: the features of every frame.  Raises UnsupportedError for
    other programs that need the whole clip, ConfigError for a head of another kind, and DataError
    for audio that cannot be read.
    """
    refuse_foreign(program_path(program), "a program that `earbit export` wrote")
    session = Session(program, threads)
    check_threshold(session.head, threshold)
    if session.kind not in (None, "class", "sequence"):
        raise ConfigError(
            f"{program}: a head of kind {session.kind!r} has no results to print in a stream; read "
            "its scores with Session.stream"
        )
    stream = _stream_of(session)
    results = _Results(session, stream, threshold)
    for samples, rate_hz in microphone_chunks() if audio is None else live_chunks(audio):
        stream.accept(samples, rate_hz)
        yield from results.new()
    stream.finish()
    yield from results.new(is_end=True)


def _stream_of(session: Session) -> Stream | Window:
    try:
        return session.stream(frames=session.head is None)
    except UnsupportedError:
        if session.kind != "class":
            raise
        say(f"the program needs whole clips: it runs on the last second, every {HOP_S:g} s")
        return Window(session)


class _Results:
    def __init__(self, session: Session, stream: Stream | Window, threshold: float | None) -> None:
        self._session, self._stream, self._threshold = session, stream, threshold
        self._next_s = 0.0
        self._label: object = ()
        self._n_frames = 0

    def new(self, *, is_end: bool = False) -> Iterator[Event]:
        """Results since the last call."""
        seconds = round(self._stream.seconds, 3)
        if isinstance(self._stream, Window) or self._session.kind == "class":
            if is_end or seconds >= self._next_s:
                self._next_s = max(self._next_s + HOP_S, seconds)
                yield from self._labels(seconds)
        elif self._session.kind is None:
            for row in self._stream.frames():
                yield {"frame": self._n_frames, "features": row.tolist()}
                self._n_frames += 1
        elif text := self._stream.text():
            yield {"seconds": seconds, "text": text}

    def _labels(self, seconds: float) -> Iterator[Event]:
        scores = self._stream.scores()
        if scores is None:
            return
        assert self._session.head is not None
        fields = head_fields(self._session.head, scores, self._threshold)
        if fields["label"] != self._label:
            self._label = fields["label"]
            yield {"seconds": seconds, **fields}


def as_text(event: Event) -> str:
    """An event for people: a line for a label or a frame, text without an end of line."""
    if "text" in event:
        return printable(event["text"])
    if "label" in event:
        label = NO_KEYWORD if event["label"] is None else event["label"]
        return f"{event['seconds']:8.2f} s  {printable(label)} ({event['probability']:.2f})\n"
    return f"frame {event['frame']}: {' '.join(f'{x:.4g}' for x in event['features'])}\n"
