"""Recognizes clips that a task validates and tests on in another corpus."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from math import inf
from pathlib import PurePath

from earbit.audio.clips import Clip, clip_of
from earbit.audio.corpus import Corpus
from earbit.audio.place import Place
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import Splits
from earbit.heads.example import Example

SAME_LENGTH = SAMPLE_RATE_HZ // 10
"""Samples at 16 kHz by which other encodings of a clip may differ in length."""


def held_out_clips(corpus: Corpus, splits: Splits[Example]) -> list[Clip]:
    """Clips for validation and test."""
    ids = {example.id for example in (*splits.valid, *splits.test)}
    return [clip_of(cut) for cut in corpus.cuts if cut.id in ids]


class HeldOut:
    """Clips that may not be trained on.

    A clip is recognized by its file and a place in it that overlaps, whatever links lead to the
    file; and in another file by the stem of its name and its length within 0.1 s, which other
    encodings have.  Other copies and other clips of the same speakers are not recognized.
    """

    def __init__(self, clips: Iterable[Clip]) -> None:
        self._real_folder = functools.cache(os.path.realpath)
        self._places: dict[str, set[Place]] = {}
        self._lengths: dict[str, set[int]] = {}
        for clip in clips:
            self._places.setdefault(self._file(clip), set()).add(clip.place)
            self._lengths.setdefault(_stem(clip), set()).add(clip.n_samples)

    def has(self, clip: Clip) -> bool:
        """Whether a clip of any corpus is recognized as one of these."""
        if not self._places:
            return False
        places = self._places.get(self._file(clip))
        if places is not None:
            return any(_overlap(clip.place, place) for place in places)
        lengths = self._lengths.get(_stem(clip), ())
        return any(abs(clip.n_samples - length) <= SAME_LENGTH for length in lengths)

    def _file(self, clip: Clip) -> str:
        folder, name = os.path.split(clip.path)
        path = os.path.join(self._real_folder(folder), name)
        return os.path.realpath(path) if os.path.islink(path) else path


def _stem(clip: Clip) -> str:
    """The name of a file or of a member of an archive, without its suffix."""
    return PurePath(clip.place.member or clip.path).stem


def _overlap(a: Place, b: Place) -> bool:
    """Whether two places of one file have audio in common."""
    has_channel = -1 in (a.channel, b.channel) or a.channel == b.channel
    return (
        has_channel
        and _ranges_overlap((a.first_byte, a.n_bytes), (b.first_byte, b.n_bytes))
        and _ranges_overlap((a.first_frame, a.n_frames), (b.first_frame, b.n_frames))
    )


def _ranges_overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Ranges of a start and a count, which is 0 up to the end."""
    ends = [start + (count or inf) for start, count in (a, b)]
    return max(a[0], b[0]) < min(ends)
