"""Decoder of the opcodes of a pickle, which are data here: nothing is imported or called.

The format is that of Python's protocols 0 to 5 (docs.python.org, module pickletools).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from earbit.errors import FormatError

MAX_PICKLE_BYTES = 2**26
MAX_OPCODES = 500_000
"""Checkpoints have some ten thousand opcodes; one opcode makes at most one object."""
MAX_LINE_BYTES = 2**16
MAX_NUMBER_BYTES = 1024
"""Longer whole numbers take quadratic time to print."""


class Buffer(Protocol):
    """Bytes or a mapped file."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: slice, /) -> bytes: ...


class Reader:
    """Reads the arguments of opcodes from bytes, from a start on."""

    def __init__(self, data: Buffer, start: int) -> None:
        self._data = data
        self.at = start
        self._end = min(len(data), start + MAX_PICKLE_BYTES)

    def take(self, n_bytes: int) -> bytes:
        """The next bytes; raises FormatError beyond the end."""
        if not 0 <= n_bytes <= self._end - self.at:
            raise FormatError("the pickle ends too early, or has more than 64 MiB")
        self.at += n_bytes
        return self._data[self.at - n_bytes : self.at]

    def line(self) -> bytes:
        """The next bytes up to a line break, which is dropped."""
        taken = bytearray()
        while (byte := self.take(1)) != b"\n":
            taken += byte
            if len(taken) > MAX_LINE_BYTES:
                raise FormatError(f"the pickle has a line of more than {MAX_LINE_BYTES} bytes")
        return bytes(taken)

    def number(self, layout: str) -> Any:
        """The next number, in the notation of `struct`."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def sized(self, layout: str) -> bytes:
        """The next bytes, after their number."""
        return self.take(self.number(layout))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _whole(data: bytes) -> int:
    if len(data) > MAX_NUMBER_BYTES:
        raise FormatError(f"the pickle has a number of {len(data)} bytes")
    return int.from_bytes(data, "little", signed=True)


def _decimal(data: bytes) -> int | bool:
    # Protocol 0 writes truth values as numbers with a leading zero.
    if data in (b"00", b"01"):
        return data == b"01"
    return int(data.removesuffix(b"L"))


def _quoted(data: bytes) -> str:
    if len(data) < 2 or data[:1] != data[-1:] or data[:1] not in (b"'", b'"'):
        raise ValueError("a text without quotes")
    return data[1:-1].decode("unicode_escape")


def _nothing(reader: Reader) -> None:
    return None


def _name(reader: Reader) -> tuple[str, str]:
    return _text(reader.line()), _text(reader.line())


_ARGUMENTS: dict[str, Callable[[Reader], Any]] = {
    "I": lambda r: _decimal(r.line()),
    "L": lambda r: _decimal(r.line()),
    "F": lambda r: float(r.line()),
    "J": lambda r: r.number("<i"),
    "K": lambda r: r.number("<B"),
    "M": lambda r: r.number("<H"),
    "G": lambda r: r.number(">d"),
    "\x8a": lambda r: _whole(r.sized("<B")),
    "\x8b": lambda r: _whole(r.sized("<I")),
    "S": lambda r: _quoted(r.line()),
    "T": lambda r: r.sized("<I").decode("latin-1"),
    "U": lambda r: r.sized("<B").decode("latin-1"),
    "V": lambda r: r.line().decode("raw_unicode_escape"),
    "X": lambda r: _text(r.sized("<I")),
    "\x8c": lambda r: _text(r.sized("<B")),
    "\x8d": lambda r: _text(r.sized("<Q")),
    "B": lambda r: r.sized("<I"),
    "C": lambda r: r.sized("<B"),
    "\x8e": lambda r: r.sized("<Q"),
    "\x96": lambda r: r.sized("<Q"),
    "P": lambda r: _text(r.line()),
    "c": _name,
    "i": _name,
    "g": lambda r: int(r.line()),
    "p": lambda r: int(r.line()),
    "h": lambda r: r.number("<B"),
    "q": lambda r: r.number("<B"),
    "j": lambda r: r.number("<I"),
    "r": lambda r: r.number("<I"),
    "\x80": lambda r: r.number("<B"),
    "\x82": lambda r: r.number("<B"),
    "\x83": lambda r: r.number("<H"),
    "\x84": lambda r: r.number("<i"),
    "\x95": lambda r: r.number("<Q"),
    **dict.fromkeys(
        "(.012NQRbad}elosut])\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98]", _nothing
    ),
}
"""Opcode -> function that reads its argument."""


def opcodes(data: Buffer, start: int) -> Iterator[tuple[str, Any, int]]:
    """Opcodes with their arguments and their ends, up to and with the stop opcode.

    Raises FormatError for an unknown opcode, a damaged argument, and too many of them.
    """
    reader = Reader(data, start)
    for _ in range(MAX_OPCODES):
        opcode = reader.take(1).decode("latin-1")
        argument = _ARGUMENTS.get(opcode)
        if argument is None:
            raise FormatError(f"the pickle has an unknown opcode {opcode!r} at {reader.at - 1}")
        try:
            value = argument(reader)
        except ValueError as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"the pickle has a damaged value ({error})") from error
        yield opcode, value, reader.at
        if opcode == ".":
            return
    raise FormatError(f"the pickle has more than {MAX_OPCODES:,} opcodes")
