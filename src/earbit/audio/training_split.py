"""Training and validation clips of pre-training and quantization."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection

from earbit.audio.clips import ClipTable, clip_of
from earbit.audio.corpus import Corpus
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import RESPLIT, splits_said
from earbit.errors import DataError
from earbit.frames import MIN_TRAINING_FRAMES, n_frames_of, n_samples_of


def training_split(corpus: Corpus) -> tuple[ClipTable, ClipTable]:
    """Splits a corpus into training and validation clips without reading audio.

    The `split` of the corpus is kept.  Clips without one, and all training clips of a corpus
    without validation clips, are split by a hash of their id: about a tenth, or at least one if
    there is no other, is validation.  Test clips and clips too short for a masked span are
    excluded.  Raises DataError if no clip remains for training or validation.
    """
    usable = [
        cut for cut in corpus.cuts if n_frames_of(cut.recording.num_samples) >= MIN_TRAINING_FRAMES
    ]
    part_of = {cut.id: (cut.custom or {}).get("split") for cut in usable}
    given = Counter(part_of.values())
    drawn_from = (None,) if given["valid"] else (None, "train")
    pool = [name for name, part in part_of.items() if part in drawn_from]
    drawn = _drawn_valid(pool, at_least=0 if given["valid"] else 1)
    part_of |= {name: "valid" if name in drawn else "train" for name in pool}
    train = ClipTable(clip_of(cut) for cut in usable if part_of[cut.id] == "train")
    valid = ClipTable(clip_of(cut) for cut in usable if part_of[cut.id] == "valid")
    if not len(train) or not len(valid):
        least_s = n_samples_of(MIN_TRAINING_FRAMES) / SAMPLE_RATE_HZ
        n_all, long_enough = len(corpus.cuts), f"of {least_s:g} s or more"
        raise DataError(
            f"corpus {corpus.name}: "
            + (
                f"{len(usable)} of {n_all} clips are {long_enough}; at least two are needed, to "
                "train on and to validate"
                if len(usable) < 2
                else splits_said(given, "clips" if len(usable) == n_all else f"clips {long_enough}")
                + f"; clips to train on and to validate are needed; {RESPLIT}"
            )
        )
    return train, valid


def _drawn_valid(ids: Collection[str], *, at_least: int) -> set[str]:
    """Ids whose first hash byte is a multiple of ten, at most half; else the smallest hashes."""

    def order(name: str) -> tuple[bool, bytes]:
        digest = hashlib.sha256(name.encode()).digest()
        return digest[0] % 10 != 0, digest

    n_tenth = sum(not order(name)[0] for name in ids)
    n_valid = min(max(n_tenth, at_least), len(ids) // 2)
    return set(sorted(ids, key=order)[:n_valid])
