"""Place of a clip: a whole file, some of its frames or channels, or a member of a tar archive."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path

SEPARATOR = "\0"
"""Separates the fields of a text; no path has one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Part of an audio file that holds a clip; by default the whole file."""

    first_frame: int = 0
    """First sample of each channel, at the rate of the file."""
    n_frames: int = 0
    """Samples of each channel at the rate of the file; 0 for all."""
    channel: int = -1
    """Channel, counted from 0; -1 for the mean of all."""
    first_byte: int = 0
    n_bytes: int = 0
    """Bytes of the member of a tar archive; 0 for a file of its own."""
    member: str = ""
    """Name of the member of a tar archive."""


WHOLE = Place()


def source_text(path: Path, place: Place) -> str:
    """Path and place as one text; that of a whole file is its path."""
    if place == WHOLE:
        return str(path)
    return SEPARATOR.join(map(str, (path, *astuple(place))))


def path_and_place(text: str) -> tuple[Path, Place]:
    """Path and place of a text of `source_text`."""
    path, *fields = text.split(SEPARATOR)
    if not fields:
        return Path(path), WHOLE
    first_frame, n_frames, channel, first_byte, n_bytes = map(int, fields[:-1])
    return Path(path), Place(first_frame, n_frames, channel, first_byte, n_bytes, fields[-1])


def shown(path: Path, place: Place) -> Path:
    """The path for messages: a member of an archive looks like a file in a folder."""
    return path / place.member if place.member else path
