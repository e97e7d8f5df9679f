"""Many texts in little memory: compressed blocks, which can also be sorted.

A list of a million strings takes 100 MB and is copied to every worker process, since reference
counts touch its pages.  Ids and paths of a corpus compress to about a tenth.
"""

from __future__ import annotations

import heapq
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

BLOCK_TEXTS = 128
"""Texts that are decompressed to read one, which takes about 30 microseconds."""
SORTED_TEXTS = 1 << 14
"""Texts that are sorted at once."""
LEVEL = 1
"""Level of zlib: the fastest."""


class Texts(Sequence[str]):
    """Texts in compressed blocks."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._blocks: list[bytes] = []
        self._n_texts = 0
        remaining = iter(texts)
        while block := list(islice(remaining, BLOCK_TEXTS)):
            self._blocks.append(_packed(block))
            self._n_texts += len(block)
        self._last: tuple[int, list[str]] = (-1, [])
        """Number and texts of the block that was read last."""

    def __len__(self) -> int:
        return self._n_texts

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._n_texts))]
        number, place = divmod(range(self._n_texts)[index], BLOCK_TEXTS)
        last, texts = self._last
        if number != last:
            texts = _unpacked(self._blocks[number])
            self._last = (number, texts)
        return texts[place]

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            yield from _unpacked(block)


class SortedTexts:
    """Collects texts and yields them in the order of their code points, in little memory."""

    def __init__(self) -> None:
        self._chunks: list[Texts] = []
        self._waiting: list[str] = []

    def add(self, text: str) -> None:
        """Adds a text."""
        self._waiting.append(text)
        if len(self._waiting) == SORTED_TEXTS:
            self._sort_waiting()

    def __iter__(self) -> Iterator[str]:
        """All texts in order; can be repeated."""
        self._sort_waiting()
        return heapq.merge(*self._chunks)

    def _sort_waiting(self) -> None:
        if self._waiting:
            self._chunks.append(Texts(sorted(self._waiting)))
            self._waiting = []


def _packed(texts: Sequence[str]) -> bytes:
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = array("I", map(len, encoded))
    header = array("I", [len(encoded)]) + lengths
    return zlib.compress(header.tobytes() + b"".join(encoded), LEVEL)


def _unpacked(block: bytes) -> list[str]:
    content = zlib.decompress(block)
    n_texts = array("I", content[:4])[0]
    at = 4 * (1 + n_texts)
    texts = []
    for length in array("I", content[4:at]):
        texts.append(content[at : at + length].decode("utf-8", "surrogatepass"))
        at += length
    return texts
