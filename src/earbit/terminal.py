"""Printed text: in any encoding, and without terminal control characters."""

from __future__ import annotations

import io
import os
import sys
import unicodedata

_ESCAPED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
"""Control characters, surrogates (undecodable bytes of file names), line ends."""
_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Characters that change the order in which others are displayed."""


def printable(text: str) -> str:
    r"""Escapes control characters, line ends and undecodable bytes: `\x1b`, `\n`, `\xff`."""
    return text if text.isprintable() else "".join(map(_written, text))


def printable_lines(text: str) -> str:
    """The same for text of several lines, with line ends kept."""
    return "\n".join(map(printable, text.split("\n")))


def _written(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: a byte of a file name
        return f"\\x{code - 0xDC00:02x}"
    if (
        unicodedata.category(character) in _ESCAPED_CATEGORIES
        or unicodedata.bidirectional(character) in _DIRECTIONS
    ):
        return character.encode("unicode_escape").decode("ascii")
    return character


def accept_any_text() -> None:
    """Makes standard output and error escape characters that their encoding lacks.

    A stream that was closed before the start is replaced by one that discards its text.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
