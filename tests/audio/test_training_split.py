"""Which clips train and which validate, where no labels of classes are needed."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from earbit.audio.corpus import Corpus
from earbit.audio.cuts import cut_of
from earbit.audio.manifest import Rejected, Utterance, read_manifest
from earbit.audio.training_split import training_split
from earbit.errors import DataError

RATE_HZ = 16_000


def cuts(ids, n_samples=16_000, **split_of):
    """A corpus that is not on disk: ids with their split, or None."""
    made = [
        cut_of(Utterance(i, Path(f"{i}.wav"), n_samples, 1, {"split": split_of.get(i)}))
        for i in ids
    ]
    return Corpus("made", Path(), CutSet.from_cuts(made), (), "digest")


def ids_of(split):
    return [{cut.id for cut in part} for part in split]


def first_byte(name):
    return hashlib.sha256(name.encode()).digest()[0]


@pytest.mark.parametrize(
    "ids",
    [
        [f"New Recording {i}" for i in range(1, 21)],
        [f"track{i:02d}" for i in range(1, 11)],
        ["one", "two"],
        ["yes/1", "yes/2", "yes/3"],
    ],
    ids=lambda ids: ids[0],
)
def test_a_small_corpus_has_a_validation_clip_and_one_to_train_on(ids):
    train, valid = ids_of(training_split(cuts(ids)))
    assert train | valid == set(ids)
    assert not train & valid
    assert 1 <= len(valid) <= max(1, len(ids) // 4)


def test_the_clip_with_the_smallest_hash_validates_where_a_tenth_has_none():
    ids = [f"clip {i}" for i in range(200) if first_byte(f"clip {i}") % 10][:8]
    _, valid = ids_of(training_split(cuts(ids)))
    assert valid == {min(ids, key=lambda i: hashlib.sha256(i.encode()).digest())}


def test_in_a_large_corpus_each_clip_is_drawn_by_its_own_hash():
    ids = [f"book/{i:04d}" for i in range(1_000)]
    train, valid = ids_of(training_split(cuts(ids)))
    assert valid == {i for i in ids if first_byte(i) % 10 == 0}
    assert train == set(ids) - valid
    assert 60 < len(valid) < 140


def test_the_split_of_the_corpus_holds_and_test_clips_are_left_out():
    ids = [f"{i}" for i in range(12)]
    split_of = {i: ("train", "valid", "test")[int(i) % 3] for i in ids}
    train, valid = ids_of(training_split(cuts(ids, **split_of)))
    assert (train, valid) == ({"0", "3", "6", "9"}, {"1", "4", "7", "10"})


def test_a_corpus_of_train_and_test_clips_validates_on_some_of_its_train_clips():
    split_of = {f"{i}": "test" if i < 3 else "train" for i in range(9)}
    train, valid = ids_of(training_split(cuts(split_of, **split_of)))
    assert len(valid) == 1
    assert train | valid == {f"{i}" for i in range(3, 9)}


def test_a_corpus_of_test_clips_is_refused_with_the_way_out():
    ids = [f"{i}" for i in range(30)]
    corpus_of_test = cuts(ids, **dict.fromkeys(ids, "test"))
    cause = "^corpus made: all 30 clips have `split: test`; .* needed; "
    with pytest.raises(DataError, match=f"{cause}--resplit ignores"):
        training_split(corpus_of_test)


def test_long_and_short_clips_are_told_apart_where_the_splits_are_the_cause():
    made, short = cuts(["a", "b"], a="train", b="test"), cuts(["c"], 3_279)
    both = Corpus("made", Path(), CutSet.from_cuts([*made.cuts, *short.cuts]), (), "digest")
    with pytest.raises(
        DataError,
        match="of 2 clips of 0.205 s or more 1 have `split: train`, 1 have `split: test`; ",
    ):
        training_split(both)


@pytest.mark.parametrize(("n_samples", "is_enough"), [(3_279, False), (3_280, True)])
def test_clips_of_fewer_than_ten_frames_do_not_train(n_samples, is_enough):
    # 400 samples for the first frame and 320 for each of nine more.
    made = cuts(["a", "b"], n_samples)
    if is_enough:
        assert [len(part) for part in training_split(made)] == [1, 1]
    else:
        with pytest.raises(
            DataError, match="^corpus made: 0 of 2 clips are of 0.205 s or more; at least two"
        ):
            training_split(made)


@pytest.mark.parametrize("claimed", [500, 3_279, 3_280])
def test_a_length_that_would_exclude_a_clip_is_compared_with_the_file(tmp_path, claimed):
    soundfile.write(tmp_path / "a.wav", np.zeros(8_000), RATE_HZ)
    line = {"path": "a.wav", "sample_rate": RATE_HZ, "num_samples": claimed}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line))
    (found,) = read_manifest(tmp_path)
    # Ten frames of training need 3,280 samples.  Longer clips are compared when they are decoded.
    if claimed < 3_280:
        assert isinstance(found, Rejected)
        assert f"`num_samples` is {claimed}, the file has 8000 samples" in found.reason
    else:
        assert isinstance(found, Utterance)


def test_of_a_large_corpus_about_five_hours_validate():
    """400 clips of half an hour: a tenth would be 20 hours."""
    ids = [f"clip {i}" for i in range(400)]
    train, valid = ids_of(training_split(cuts(ids, n_samples=1800 * RATE_HZ)))
    assert len(valid) in (10, 11)
    assert all(first_byte(name) % 10 == 0 for name in valid)
    assert train | valid == set(ids)
    assert not train & valid
