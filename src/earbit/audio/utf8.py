"""Reads text files that must be UTF-8, and names other encodings in errors."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from earbit.errors import DataError

UTF8_MARK = b"\xef\xbb\xbf"
MARKS = {
    # UTF-32 before UTF-16, whose mark is a prefix of that of UTF-32.
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""Byte order marks; iconv takes the byte order from the mark."""
ZEROS = {"x000": "UTF-32LE", "000x": "UTF-32BE", "x0x0": "UTF-16LE", "0x0x": "UTF-16BE"}
"""Encoding by the zeros among the first four bytes of a text that begins with ASCII.

Source: RFC 4627, section 3.
"""


def read_utf8(path: Path) -> bytes:
    """Reads the bytes of a text file without a UTF-8 byte order mark.

    Raises DataError when the file cannot be read, and for UTF-16 and UTF-32, naming the encoding.
    The caller handles other damage line by line.
    """
    return b"".join(utf8_lines(path))


def utf8_lines(path: Path) -> Iterator[bytes]:
    """Lines of a text file with their line ends; reads and raises errors like `read_utf8`."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
            if (encoding := _wide_encoding(head)) is not None:
                raise DataError(
                    f"{path}: the encoding is {encoding}, it must be UTF-8; convert it with: "
                    f"{conversion_to_utf8(path, encoding)}"
                )
            file.seek(len(UTF8_MARK) if head.startswith(UTF8_MARK) else 0)
            yield from file
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def conversion_to_utf8(path: Path, encoding: str) -> str:
    """The iconv command that converts a file in place, quoted for a shell."""
    source, target = shlex.quote(str(path)), shlex.quote(f"{path}.utf8")
    return f"iconv -f {encoding} -t UTF-8 {source} > {target} && mv {target} {source}"


def _wide_encoding(content: bytes) -> str | None:
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return encoding
    return ZEROS.get("".join("x" if byte else "0" for byte in content[:4]))
