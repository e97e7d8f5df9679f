"""Audio files of tests, by hand and by libsndfile."""

import struct

import soundfile

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


def mp3_bytes(path, samples, rate_hz=RATE_HZ, **options):
    """An mp3 file by libsndfile, which begins with an Info or Xing frame; `path` is scratch."""
    soundfile.write(path, samples, rate_hz, format="MP3", **options)
    return path.read_bytes()


def frames_counted(mp3):
    """The number of frames of sound that the encoder wrote into its Info or Xing frame."""
    at = max(mp3[:60].find(b"Info"), mp3[:60].find(b"Xing"))
    assert mp3[at + 7] & 1
    return int.from_bytes(mp3[at + 8 : at + 12])


def first_frame_bytes(mp3):
    """The length of the first frame, worked out by hand.

    16 kHz is MPEG-2 layer 3: 72 * bitrate / rate bytes.
    """
    kbps = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)[(mp3[2] >> 4) - 1]
    return 72 * 1000 * kbps // RATE_HZ + (mp3[2] >> 1 & 1)


def without_info(mp3):
    """The frames of sound alone."""
    return mp3[first_frame_bytes(mp3) :]
