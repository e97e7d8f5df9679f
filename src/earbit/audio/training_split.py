"""Training and validation clips of pre-training and quantization."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from earbit.audio.clips import ClipTable, clip_of, clip_text, id_of
from earbit.audio.corpus import Corpus
from earbit.audio.place import source_text
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import RESPLIT, splits_said
from earbit.audio.texts import SortedTexts
from earbit.errors import DataError
from earbit.frames import MIN_TRAINING_FRAMES, n_frames_of, n_samples_of

MAX_DRAWN_S = 5 * 3600.0
"""Longest validation audio that is drawn; each validation reads all of it."""


def training_split(corpus: Corpus) -> tuple[ClipTable, ClipTable]:
    """Splits a corpus into training and validation clips without reading audio; see `Parts`."""
    parts = Parts()
    for cut in corpus.cuts:
        clip = clip_of(cut)
        split = (cut.custom or {}).get("split")
        parts.add(clip.id, clip.n_samples, source_text(clip.path, clip.place), split)
    return parts.tables(corpus.name)


class Parts:
    """Collects the clips of a corpus in little memory and splits them.

    The `split` of the corpus is kept.  Clips without one, and all training clips of a corpus
    without validation clips, are split by a hash of their id: about a tenth, of a large corpus
    about MAX_DRAWN_S, or at least one if there is no other, is validation.  Test clips and clips
    too short for a masked span are excluded.
    """

    def __init__(self) -> None:
        self._of_split: dict[str | None, SortedTexts] = {}
        self._n_clips: Counter[str | None] = Counter()
        self._n_tenth: Counter[str | None] = Counter()
        self._samples_of_tenth: Counter[str | None] = Counter()
        self._n_all = 0

    def add(self, name: str, n_samples: int, source: str, split: str | None) -> None:
        """Adds a clip.  source: a text of `source_text`."""
        self._n_all += 1
        if n_frames_of(n_samples) >= MIN_TRAINING_FRAMES:
            text = clip_text(name, n_samples, source)
            self._of_split.setdefault(split, SortedTexts()).add(text)
            self._n_clips[split] += 1
            if _is_of_tenth(_hash(name)):
                self._n_tenth[split] += 1
                self._samples_of_tenth[split] += n_samples

    def tables(self, corpus_name: str) -> tuple[ClipTable, ClipTable]:
        """Training and validation clips; raises DataError if one of the sets is empty."""
        has_valid = self._n_clips["valid"] > 0
        drawn_from = (None,) if has_valid else (None, "train")
        is_drawn = self._drawing(drawn_from, at_least=0 if has_valid else 1)

        def part(name: str, wanted: bool) -> Iterator[str]:
            kept = () if name in drawn_from else (self._of_split.get(name, ()),)
            drawn = (_those(self._of_split.get(s, ()), is_drawn, wanted) for s in drawn_from)
            return heapq.merge(*kept, *drawn)

        train = ClipTable.of_texts(part("train", wanted=False))
        valid = ClipTable.of_texts(part("valid", wanted=True))
        if not len(train) or not len(valid):
            raise DataError(f"corpus {corpus_name}: {self._why_refused()}")
        return train, valid

    def _drawing(self, splits: Sequence[str | None], *, at_least: int) -> Callable[[str], bool]:
        """Text of a clip -> whether it is drawn.

        Drawn are hashes whose first byte is a multiple of ten, at most half of the clips and about
        MAX_DRAWN_S; else the smallest hashes.
        """
        n_clips = sum(self._n_clips[split] for split in splits)
        n_tenth = sum(self._n_tenth[split] for split in splits)
        tenth_s = sum(self._samples_of_tenth[split] for split in splits) / SAMPLE_RATE_HZ
        n_most = n_tenth if tenth_s <= MAX_DRAWN_S else math.ceil(n_tenth * MAX_DRAWN_S / tenth_s)
        n_valid = min(max(n_most, at_least), n_clips // 2)
        if n_valid == n_tenth:
            return lambda text: _is_of_tenth(_hash_of(text))
        hashes = (_hash_of(text) for split in splits for text in self._of_split.get(split, ()))
        smallest = heapq.nsmallest(n_valid, hashes, key=lambda h: (not _is_of_tenth(h), h))
        drawn = set(smallest)
        return lambda text: _hash_of(text) in drawn

    def _why_refused(self) -> str:
        least_s = n_samples_of(MIN_TRAINING_FRAMES) / SAMPLE_RATE_HZ
        n_usable, long_enough = sum(self._n_clips.values()), f"of {least_s:g} s or more"
        if n_usable < 2:
            return (
                f"{n_usable} of {self._n_all} clips are {long_enough}; at least two are needed, to "
                "train on and to validate"
            )
        what = "clips" if n_usable == self._n_all else f"clips {long_enough}"
        return (
            f"{splits_said(self._n_clips, what)}; clips to train on and to validate are needed; "
            f"{RESPLIT}"
        )


def _those(texts: Iterable[str], is_drawn: Callable[[str], bool], wanted: bool) -> Iterator[str]:
    return (text for text in texts if is_drawn(text) == wanted)


def _hash_of(text: str) -> bytes:
    return _hash(id_of(text))


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _is_of_tenth(digest: bytes) -> bool:
    return digest[0] % 10 == 0
