"""N-gram language models of words in ARPA format, with back-off (Katz 1987)."""

from __future__ import annotations

import gzip
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from earbit.errors import DataError, FormatError

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
MARKERS = {START, END, UNKNOWN, "<UNK>"}
WITHOUT_UNKNOWN = -100.0
"""log10 of the probability of an unknown word in a model without <unk>, as in KenLM."""
Words = tuple[str, ...]


class NGram:
    """Probabilities of words by the words before them."""

    def __init__(self, entries: Mapping[Words, tuple[float, float]]) -> None:
        """entries: (probability, back-off weight) of n-grams, as logarithms of base 10."""
        self._entries = entries
        self.order = max(map(len, entries), default=1)
        self.start = self.after((), START)
        """Words before the first one."""

    def __len__(self) -> int:
        return len(self._entries)

    def after(self, context: Words, word: str) -> Words:
        """The words that the word after `word` depends on."""
        known = word if (word,) in self._entries else UNKNOWN
        return (*context, known)[1 - self.order :] if self.order > 1 else ()

    def log_probability(self, context: Words, word: str) -> float:
        """Natural logarithm of the probability of a word after a context from `after`."""
        if (word,) not in self._entries:
            word = UNKNOWN
        back_off = 0.0
        while (entry := self._entries.get((*context, word))) is None:
            if not context:
                entry = (WITHOUT_UNKNOWN, 0.0)
                break
            back_off += self._entries.get(context, (0.0, 0.0))[1]
            context = context[1:]
        return (back_off + entry[0]) * math.log(10)


def read_arpa(path: Path) -> NGram:
    """Reads an ARPA file, also one that gzip has compressed; words are turned to upper case.

    A word that occurs in several cases has the largest of their probabilities.  An n-gram takes
    about 200 bytes of memory.  Raises DataError for a file that cannot be read, FormatError for one
    that is damaged or binary.
    """
    entries: dict[Words, tuple[float, float]] = {}
    counts: dict[int, int] = {}
    order = found = number = 0
    for number, line in enumerate(_lines(path), start=1):
        text = line.strip()
        try:
            if not text or (not counts and not text.startswith("ngram ")):
                continue
            if text.startswith("ngram "):
                size, _, count = text[6:].partition("=")
                counts[int(size)] = int(count)
            elif text.startswith("\\"):
                if order and found != counts[order]:
                    raise ValueError(f"{found} {order}-grams, the file declares {counts[order]}")
                if text == "\\end\\":
                    if order != max(counts):
                        raise ValueError(f"no {max(counts)}-grams")
                    break
                order, found = int(text[1:].removesuffix("-grams:")), 0
            else:
                words, values = _entry(text.split(), order)
                found += 1
                if words not in entries or entries[words] < values:
                    entries[words] = values
        except (ValueError, KeyError, IndexError) as error:
            raise FormatError(f"{path}:{number}: not ARPA ({error}); give an ARPA file") from error
    else:
        raise FormatError(f"{path}: no \\end\\ after {number} lines; give a complete ARPA file")
    return NGram(entries)


def _entry(fields: list[str], order: int) -> tuple[Words, tuple[float, float]]:
    words = fields[1 : 1 + order]
    probability, back_off = float(fields[0]), float((*fields[1 + order :], "0")[0])
    if order < 1 or len(words) < order or not (probability <= 0 and math.isfinite(back_off)):
        raise ValueError(f"{' '.join(fields)[:60]!r} is no {order}-gram")
    known = (word if word in MARKERS else word.upper() for word in words)
    spelt = tuple(sys.intern(UNKNOWN if word == "<UNK>" else word) for word in known)
    return spelt, (max(probability, WITHOUT_UNKNOWN), back_off)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            head = file.read(8)
        if head.startswith(b"mmap lm"):
            raise FormatError(f"{path}: a binary of KenLM; give the ARPA file that it was made of")
        opened = gzip.open if head.startswith(b"\x1f\x8b") else open
        with opened(path, "rt", encoding="utf-8") as text:
            yield from text
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); give an ARPA file in UTF-8") from error
