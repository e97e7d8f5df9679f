"""Audio files of tests, by hand and by libsndfile."""

import struct

RATE_HZ = 16_000
LOSSY = {
    "x.ogg": {"format": "OGG", "subtype": "VORBIS"},
    "x.opus": {"format": "OGG", "subtype": "OPUS"},
    "x.mp3": {"format": "MP3"},
}


def wav_bytes(samples, *, claimed_bytes=None):
    """A 16-bit mono WAV file written from its definition, not by the library that reads it."""
    data = (samples * 32767).astype("<i2").tobytes()
    n_bytes = len(data) if claimed_bytes is None else claimed_bytes
    form = struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    riff = b"RIFF" + struct.pack("<I", (36 + n_bytes) & 0xFFFFFFFF) + b"WAVE"
    return (
        riff + b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", n_bytes) + data
    )
