"""Keeps what the decoder of mp3 prints off the terminal: its own errors say the same by name."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STDERR = 2
# libmpg123 writes to the descriptor itself, and libsndfile does not let us ask it for silence.
CHATTER = re.compile(rb"(Note|Warning): |\[[^ ]*libmpg123/|(Layer|big_values|mpg123)\b|$")
_one_at_a_time = threading.Lock()


@contextmanager
def quiet_decoder(path: Path) -> Iterator[None]:
    """Drops what libmpg123 writes to standard error meanwhile; lines of others come afterwards.

    Nothing is touched for a file that is no mp3, and mp3 files are decoded one at a time.
    """
    if not _may_be_mp3(path):
        yield
        return
    with _one_at_a_time, tempfile.TemporaryFile() as kept:
        try:
            terminal = os.dup(STDERR)
        except OSError:
            # There is no standard error, so nothing can reach it.
            yield
            return
        os.dup2(kept.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(terminal, STDERR)
            os.close(terminal)
            kept.seek(0)
            others = [line for line in kept if not CHATTER.match(line)]
            with suppress(OSError):
                os.write(STDERR, b"".join(others))


def _may_be_mp3(path: Path) -> bool:
    if path.suffix.lower() == ".mp3":
        return True
    try:
        with path.open("rb") as file:
            start = file.read(3)
    except OSError:
        return False
    return start == b"ID3" or start[:1] == b"\xff"
