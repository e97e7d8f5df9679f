"""Sources of audio: a file, a pipe or standard input."""

from __future__ import annotations

import io
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from earbit.audio.formats import RAW_INPUT, conversion_command
from earbit.audio.place import Place
from earbit.errors import DataError

STANDARD_INPUT = "-"
MAX_PIPE_BYTES = 1 << 30
"""Maximum size of a pipe, which is read into memory: 9 hours of 16-bit sound at 16 kHz."""
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """An open audio file, or the bytes of a pipe in memory."""

    path: Path
    file: BinaryIO
    n_bytes: int
    archive: Path | None = None
    """The tar archive that has the bytes; `path` is then that of the member in it."""

    @property
    def is_pipe(self) -> bool:
        """Whether the bytes come from a pipe and exist only in this process."""
        return isinstance(self.file, io.BytesIO) and self.archive is None

    @property
    def conversion(self) -> str:
        """The ffmpeg command that converts the source to a readable format."""
        if self.is_pipe:
            return "ffmpeg -i pipe: -f wav pipe:"
        if self.archive is not None:
            names = map(shlex.quote, (str(self.archive), str(self.path.relative_to(self.archive))))
            return f"tar -xOf {' '.join(names)} | ffmpeg -i pipe: {shlex.quote(self.path.name)}.wav"
        return conversion_command(self.path)

    @property
    def raw_conversion(self) -> str:
        """The ffmpeg command that converts the source if it has samples without a header."""
        return self.conversion.replace("ffmpeg -i", f"ffmpeg {RAW_INPUT}")


def is_pipe(path: Path) -> bool:
    """Whether a path is `-`, a pipe or a device, which can be read only once."""
    if str(path) == STANDARD_INPUT:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


@contextmanager
def opened(path: Path, allowed: str) -> Iterator[Source]:
    """Opens a file, a pipe, or standard input for `-`.

    allowed: readable formats, for messages.  Raises DataError for a missing file, a folder, a pipe
    of more than MAX_PIPE_BYTES, and a terminal.
    """
    if is_pipe(path):
        yield Source(path, *_all_of_pipe(path))
        return
    _require_file(path, allowed)
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    with file:
        yield Source(path, file, os.fstat(file.fileno()).st_size)


def member_of(archive: Source, place: Place) -> Source:
    """The bytes of a member of a tar archive. Raises DataError where the archive ends too early."""
    archive.file.seek(place.first_byte)
    content = archive.file.read(place.n_bytes)
    path = archive.path / place.member
    if len(content) < place.n_bytes:
        raise DataError(
            f"{path}: breaks off after {len(content)} of {place.n_bytes} bytes; copy "
            f"{archive.path} again"
        )
    return Source(path, io.BytesIO(content), len(content), archive.path)


def _require_file(path: Path, allowed: str) -> None:
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be looked at ({reason})") from error
    if is_folder:
        raise DataError(f"{path}: is a folder; give an audio file")
    if not is_file:
        raise DataError(f"{path}: no such file; check the path")


def _all_of_pipe(path: Path) -> tuple[BinaryIO, int]:
    content = io.BytesIO()
    try:
        # 0 is the descriptor of standard input.
        name = 0 if str(path) == STANDARD_INPUT else path
        with open(name, "rb", closefd=name != 0) as pipe:
            if pipe.isatty():
                raise DataError(f"{path}: a terminal; pipe an audio file into it")
            while block := pipe.read(BLOCK_BYTES):
                if content.tell() + len(block) > MAX_PIPE_BYTES:
                    raise DataError(
                        f"{path}: more than {MAX_PIPE_BYTES >> 20} MiB from a pipe, which is read "
                        "into memory; write it to a file and give its name"
                    )
                content.write(block)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    return content, content.tell()
