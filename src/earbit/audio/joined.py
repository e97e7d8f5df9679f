"""Detects files joined into one, of which decoders read only the first."""

from __future__ import annotations

import re

from earbit.audio.chunks import Order
from earbit.audio.mpeg_frames import begins_with_frames
from earbit.audio.promised_end import promised_end
from earbit.audio.source import Source
from earbit.audio.wav_header import WAV_FORMS, wav_sound
from earbit.errors import DataError

BEGINNING = re.compile(
    rb"(RIFF|RIFX|RF64).{4}WAVE|riff\x2e\x91\xcf\x11|FORM.{4}AIF[FC]|caff\x00\x01\x00\x00"
    rb"|\.snd\x00\x00.{2}|dns\..{2}\x00\x00|NIST_1A\n|fLaC[\x00\x80]\x00\x00\x22"
    rb"|OggS\x00\x02\x00{8}|ID3[\x02-\x04]\x00\x00[\x00-\x7f]{4}",
    re.DOTALL,
)
"""First bytes of an audio file, long enough not to occur by chance in compressed sound."""
ANCHORS = (
    (b"fLaC", 0),
    (b"WAVE", 8),
    (b"riff\x2e", 0),
    (b"AIF", 8),
    (b"caff", 0),
    (b".snd", 0),
    (b"NIST_1A", 0),
    (b"OggS", 0),
    (b"ID3", 0),
)
"""Bytes of each beginning, and their place in it: a search for them is faster than a pattern."""
BEGINNING_BYTES = 16
MPEG_TAG = b"ID3"
PADDING_BYTES = 7
"""Maximum number of bytes between the end of the sound and a second file."""
SEARCH_BYTES = 1 << 20


def refuse_joined(source: Source) -> None:
    """Raises DataError for joined files that begin with wav, flac, AIFF, AU, CAF, W64 or SPHERE.

    Reads all bytes of a flac file, whose header does not state where it ends.
    """
    source.file.seek(0)
    beginning = source.file.read(8)
    wav = wav_sound(source.file, source.n_bytes)
    if wav is not None:
        refuse_another_at(source, wav.start + wav.n_bytes)
        if beginning[:4] in WAV_FORMS and not wav.corrections:
            # Other chunks may follow the sound.
            order: Order = "big" if beginning.startswith(b"RIFX") else "little"
            refuse_another_at(source, 8 + int.from_bytes(beginning[4:], order))
    elif beginning.startswith(b"fLaC"):
        _refuse(source, _find(source, _end_of_metadata(source)))
    elif end := promised_end(source.file):
        refuse_another_at(source, end)


def refuse_another_at(source: Source, end: int, besides: bytes | None = None) -> None:
    """Raises DataError if another audio file begins at the end of the sound of the first.

    besides: first bytes of files that decoders read too.
    """
    source.file.seek(end)
    found = BEGINNING.search(source.file.read(PADDING_BYTES + BEGINNING_BYTES))
    if found is None or found.start() > PADDING_BYTES:
        if besides != MPEG_TAG and begins_with_frames(source.file, source.n_bytes, end):
            _refuse(source, end)
    elif besides is None or not found[0].startswith(besides):
        _refuse(source, end + found.start())


def _refuse(source: Source, at: int) -> None:
    if at:
        raise DataError(
            f"{source.path}: several files joined into one, the second begins at byte {at}; "
            "split it there, or leave it out"
        )


def _end_of_metadata(source: Source) -> int:
    """Position of the first frame of a flac file: metadata may hold the header of a wav file."""
    at, is_last = 4, False
    while not is_last:
        source.file.seek(at)
        head = source.file.read(4)
        if len(head) < 4:
            break
        is_last = bool(head[0] & 0x80)
        at += 4 + int.from_bytes(head[1:], "big")
    return at


def _find(source: Source, at: int) -> int:
    """Finds the beginning of an audio file at or after `at`; 0 if there is none."""
    while at < source.n_bytes:
        source.file.seek(at)
        block = source.file.read(SEARCH_BYTES)
        places = [place for anchor in ANCHORS for place in _places(block, *anchor)]
        if places:
            return at + min(places)
        if len(block) < SEARCH_BYTES:
            break
        at += len(block) - BEGINNING_BYTES
    return 0


def _places(block: bytes, anchor: bytes, offset: int) -> list[int]:
    places = []
    found = block.find(anchor)
    while found >= 0:
        if found >= offset and BEGINNING.match(block, found - offset):
            places.append(found - offset)
        found = block.find(anchor, found + 1)
    return places
