"""Audio as it comes: a file block by block, standard input and the microphone."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from earbit.audio.decode import read_blocks
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.source import STANDARD_INPUT
from earbit.errors import DataError, UnsupportedError
from earbit.extras import imported
from earbit.progress import say
from earbit.runtime.arguments import HIGHEST_RATE_HZ, LOWEST_RATE_HZ

CHUNK_S = 0.08
"""Length of the chunks of files and of the microphone."""
Chunk = tuple[np.ndarray, int]
"""Mono samples, float32 in [-1, 1], and their rate in Hz."""
PCM_TAGS = (1, 0xFFFE)
"""Format tags of PCM in wav files: plain, and extensible."""
OPEN_LENGTH = 0x7FFF0000
"""From this length of its samples on, a wav file was written before its length was known."""
_CONTAINERS = {
    b"fLaC": "flac",
    b"OggS": "Ogg",
    b"ID3": "mp3",
    b"caff": "CAF",
    b"FORM": "AIFF",
    b"RF64": "RF64",
    b"RIFX": "wav with its bytes in the other order (RIFX)",
    b"RIFF": "RIFF without WAVE",
    b"riff\x2e\x91\xcf\x11": "W64",
    b".snd": "AU",
    b"NIST_1A\n": "SPHERE",
    b"\x1aE\xdf\xa3": "Matroska or WebM",
}
"""Beginnings of containers that standard input refuses: as raw samples they would be noise."""
_DECODED = "ffmpeg -i FILE -ac 1 -ar 16000 -f wav -"
"""Command that writes what standard input takes."""


def live_chunks(path: Path) -> Iterator[Chunk]:
    """Chunks of a file, or of `-`: what standard input holds so far, again and again.

    Standard input is a wav file of 16-bit samples, or without a header raw 16-bit little-endian
    samples, mono, at 16 kHz; which of them is said.  Raises DataError for audio that cannot be
    read.
    """
    if str(path) == STANDARD_INPUT:
        yield from _of_standard_input()
        return
    for block, rate_hz in read_blocks(path):
        yield from _in_chunks(block, rate_hz)


def _in_chunks(samples: np.ndarray, rate_hz: int) -> Iterator[Chunk]:
    n = max(1, round(CHUNK_S * rate_hz))
    for start in range(0, len(samples), n):
        yield samples[start : start + n], rate_hz


def microphone_chunks() -> Iterator[Chunk]:
    """Chunks of the default microphone, without an end.

    Raises UnsupportedError without sounddevice or PortAudio, and DataError without a microphone.
    """
    try:
        sounddevice = imported("sounddevice", "mic", "--mic")
    except OSError as error:  # of a system without the library that sounddevice loads
        raise UnsupportedError(
            f"--mic needs the library PortAudio ({error}); on Debian: apt install libportaudio2"
        ) from error
    try:
        rate_hz = int(sounddevice.query_devices(kind="input")["default_samplerate"])
        with sounddevice.InputStream(samplerate=rate_hz, channels=1, dtype="float32") as stream:
            say(f"listening to the microphone at {rate_hz} Hz; Ctrl-C ends")
            yield from _of_microphone(stream, rate_hz)
    except sounddevice.PortAudioError as error:
        raise DataError(f"--mic: no microphone can be read ({error})") from error


def _of_microphone(stream: Any, rate_hz: int) -> Iterator[Chunk]:
    is_said = False
    while True:
        samples, is_lost = stream.read(max(1, round(CHUNK_S * rate_hz)))
        if is_lost and not is_said:
            is_said = True
            say("audio of the microphone was lost: the machine is busy")
        yield samples[:, 0], rate_hz


def _of_standard_input() -> Iterator[Chunk]:
    try:
        if sys.stdin is None:  # closed before the start
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if sys.stdin.buffer.isatty():
            raise DataError("-: a terminal; pipe a wav file or raw 16-bit samples into it")
        yield from _of_pipe(sys.stdin.buffer)
    except OSError as error:
        raise DataError(f"-: cannot be read ({error.strerror or error})") from error


def _of_pipe(pipe: BinaryIO) -> Iterator[Chunk]:
    head = pipe.read(12)
    if not head:
        raise DataError("-: standard input is empty; pipe a wav file or raw 16-bit samples into it")
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        n_channels, rate_hz, left = _wav_header(pipe)
        rest = b""
        say(f"standard input: wav, {n_channels} channels at {rate_hz} Hz")
    elif kind := _container(head):
        raise DataError(
            f"-: {kind}; standard input takes wav files of 16-bit samples, or raw 16-bit samples, "
            f"mono at {SAMPLE_RATE_HZ} Hz; decode it: {_DECODED}; or give the name of the file"
        )
    else:
        n_channels, rate_hz, rest, left = 1, SAMPLE_RATE_HZ, head, None
        say(f"standard input: no wav header, so raw 16-bit samples, mono at {rate_hz} Hz")
    width = 2 * n_channels
    while data := rest + (more := _read_some(pipe, left)):
        left = None if left is None else left - len(more)
        n_bytes = len(data) // width * width
        samples = np.frombuffer(data[:n_bytes], "<i2").reshape(-1, n_channels)
        yield from _in_chunks(samples.mean(1, dtype=np.float32) / np.float32(32768), rate_hz)
        rest = data[n_bytes:]
        if not more:
            break
    if rest:
        left_out = "1 byte is" if len(rest) == 1 else f"{len(rest)} bytes are"
        say(f"standard input ends within a sample; {left_out} left out")
    if left:
        missing = "1 byte" if left == 1 else f"{left} bytes"
        say(f"standard input ends {missing} before the end that its header promises")


def _container(head: bytes) -> str | None:
    """The container that begins with 12 bytes, apart from wav; None for raw samples."""
    if head[4:8] == b"ftyp":
        return "MP4 or M4A"
    return next((kind for begin, kind in _CONTAINERS.items() if head.startswith(begin)), None)


def _read_some(pipe: BinaryIO, left: int | None) -> bytes:
    """What there is, up to 16 KiB and to the end of the samples; `left`: their bytes, if known."""
    most = 1 << 14 if left is None else min(1 << 14, left)
    return pipe.read1(most) if most else b""  # type: ignore[attr-defined]


def _wav_header(pipe: BinaryIO) -> tuple[int, int, int | None]:
    """Channels, rate and bytes of samples of a wav file, up to its samples.

    The bytes are None in a file that was written before its length was known.
    """
    form = b""
    while True:
        name, length = pipe.read(4), int.from_bytes(pipe.read(4), "little")
        if len(name) < 4:
            raise DataError("-: a wav file without samples")
        if name == b"data":
            break
        content = pipe.read(length + length % 2)
        if name == b"fmt ":
            form = content
    tag, n_channels, rate_hz = (
        int.from_bytes(form[start:end], "little") for start, end in ((0, 2), (2, 4), (4, 8))
    )
    n_bits = int.from_bytes(form[14:16], "little")
    if tag not in PCM_TAGS or n_bits != 16 or not n_channels:
        raise DataError(
            f"-: a wav file of format {tag} with {n_bits} bits and {n_channels} channels; "
            "standard input takes 16-bit samples (sox IN -b 16 -t wav -)"
        )
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise DataError(
            f"-: a wav file of {rate_hz} Hz; allowed: {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}"
        )
    return n_channels, rate_hz, length if 0 < length < OPEN_LENGTH else None
