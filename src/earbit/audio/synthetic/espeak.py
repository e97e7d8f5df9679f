"""espeak-ng through ctypes: text to samples, with the phones and their times.

The engine has one global state per process, so `build.py` uses it in a separate process.  It is
loaded from a wheel (espeakng-loader) and needs no system package.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from earbit.errors import UnsupportedError
from earbit.extras import imported

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 1
_INITIALIZE_DONT_EXIT = 0x8000
"""Without this option, missing data would end the process without a message."""
_CHARS_UTF8 = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_PHONEME = 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("text", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Prosody:
    """Prosody of speech in units of espeak."""

    rate_words_per_minute: int
    pitch: int
    """0 to 99."""
    pitch_range: int
    """0 (monotone) to 99 (lively)."""
    volume: int = 100


@dataclass(frozen=True, slots=True)
class Spoken:
    """Samples (int16, at `rate_hz`) and phones as (phone, start_s, duration_s)."""

    samples: np.ndarray
    rate_hz: int
    phones: list[tuple[str, float, float]]


class Espeak:
    """The speech engine, one per process; raises UnsupportedError if it is not installed."""

    def __init__(self) -> None:
        espeakng_loader = imported("espeakng_loader", "synth", "synthetic speech")
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate_hz = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT
        )
        if self.rate_hz <= 0:
            raise UnsupportedError(f"espeak-ng did not start (code {self.rate_hz})")
        # The breath of some voices is noise, which the engine would seed with the time of day.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._chunks: list[np.ndarray] = []
        self._marks: list[tuple[str, float]] = []
        # Stored because ctypes frees callbacks without references.
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, prosody: Prosody) -> Spoken:
        """Speaks `text`; raises UnsupportedError for an unknown voice."""
        # For an unknown voice, the engine silently keeps the previous one.
        if code := self._library.espeak_SetVoiceByName(voice.encode()):
            raise UnsupportedError(f"espeak-ng has no voice {voice!r} (code {code})")
        for parameter, value in (
            (_RATE, prosody.rate_words_per_minute),
            (_VOLUME, prosody.volume),
            (_PITCH, prosody.pitch),
            (_RANGE, prosody.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks, self._marks = [], []
        data = text.encode() + b"\0"
        code = self._library.espeak_Synth(data, len(data), 0, 1, 0, _CHARS_UTF8, None, None)
        if code or not self._chunks:
            raise UnsupportedError(f"espeak-ng could not say {text!r} (code {code})")
        samples = np.concatenate(self._chunks)
        return Spoken(samples, self.rate_hz, self._phones(len(samples) / self.rate_hz))

    def _receive(self, wave: object, n_samples: int, events: object) -> int:
        if wave and n_samples > 0:
            self._chunks.append(np.ctypeslib.as_array(wave, (n_samples,)).copy())
        i = 0
        while events and events[i].type != _EVENT_LIST_TERMINATED:  # type: ignore[index]
            event = events[i]  # type: ignore[index]
            if event.type == _EVENT_PHONEME:
                self._marks.append((event.id.text.decode(), event.audio_position / 1000))
            i += 1
        return 0

    def _phones(self, duration_s: float) -> list[tuple[str, float, float]]:
        """Phones between their marks; pauses have no name."""
        ends = [start_s for _, start_s in self._marks[1:]] + [duration_s]
        return [
            (phone.strip("'_,:;|"), start_s, round(end_s - start_s, 4))
            for (phone, start_s), end_s in zip(self._marks, ends, strict=True)
            if phone.strip("'_,:;|") and end_s > start_s
        ]
