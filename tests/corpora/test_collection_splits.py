"""Splits of the clips of a collection."""

from earbit.corpora.collection_splits import (
    Clip,
    by_clip,
    folds_by_speaker,
    for_trials,
    in_turn,
    with_test,
)


def clip(i, speaker, split=None):
    return Clip(f"c/{i}", "c", f"c/{i}.wav", {"speaker": speaker, "split": split})


def parts(clips, split_of, key="split"):
    """Speakers by split or fold."""
    found = {}
    for c in clips:
        if c.id in split_of:
            found.setdefault(split_of[c.id].get(key), []).append(c.speaker)
    return found


def test_test_speakers_are_first_those_that_have_no_training_clip():
    names = [
        (f"{s}-{i}", f"s{s}", "valid" if s < 6 else "train") for s in range(60) for i in range(20)
    ]
    clips = [clip(*name) for name in names]
    by_split = parts(clips, with_test(clips))
    assert set(by_split["test"]) == {f"s{s}" for s in range(6)}  # 120 clips are enough
    assert len(by_split["valid"]) == 120
    assert not set(by_split["valid"]) & set(by_split["train"])


def test_a_speaker_of_train_and_valid_stays_there_and_others_are_drawn_to_test():
    both = [clip(f"b{i}", "both", "valid" if i < 3 else "train") for i in range(30)]
    others = [clip(f"o{i}", f"s{i % 10}", "train") for i in range(50)]
    by_split = parts([*both, *others], with_test([*both, *others]))
    assert "both" not in by_split["test"]
    assert by_split["valid"].count("both") == 3
    assert len(by_split["test"]) == 20  # the first multiple of five from 16 on
    assert not set(by_split["test"]) & {*by_split["train"], *by_split["valid"]}


def test_given_test_clips_are_kept():
    clips = [clip(i, f"s{i}", ("train", "valid", "test")[i % 3]) for i in range(9)]
    assert with_test(clips) == {c.id: {"split": c.labels["split"]} for c in clips}


def test_every_speaker_has_clips_in_all_splits_and_none_dominates():
    clips = [clip(f"{s}-{i}", f"s{s}") for s, n in enumerate((2, 3, 20, 100)) for i in range(n)]
    by_split = parts(clips, by_clip(clips))
    counts = {
        s: [by_split[p].count(s) for p in ("train", "valid", "test")] for s in ("s1", "s2", "s3")
    }
    assert counts == {"s1": [1, 1, 1], "s2": [14, 2, 4], "s3": [28, 4, 8]}
    assert "s0" not in {s for of_split in by_split.values() for s in of_split}


def test_folds_are_of_whole_speakers_and_about_equal():
    sizes = (30, 20, 20, 10, 10, 10, 5)
    clips = [clip(f"{s}-{i}", f"s{s}") for s, n in enumerate(sizes) for i in range(n)]
    folds = parts(clips, folds_by_speaker(clips), "fold")
    assert sorted(map(len, folds.values())) == [15, 20, 20, 20, 30]
    assert sum(len(set(fold)) for fold in folds.values()) == len(sizes)


def test_all_trials_are_kept_where_enough_other_speakers_have_several_clips():
    tried = [clip(f"t{s}-{i}", f"t{s}") for s in range(4) for i in range(2)]
    others = [clip(f"o{s}-{i}", f"o{s}") for s in range(20) for i in range(2)]
    by_split = parts([*tried, *others], for_trials([*tried, *others], {c.id for c in tried}))
    assert set(by_split["test"]) == {"t0", "t1", "t2", "t3"}
    assert len(set(by_split["valid"])) == 2
    few = for_trials([*tried, *others[:10]], {c.id for c in tried})
    assert len(set(parts(tried, few)["test"])) == 2


def test_queries_of_every_word_are_in_both_parts():
    split_of = in_turn([(f"{word}{i}", word) for word in ("yes", "no") for i in range(5)])
    for word in ("yes", "no"):
        splits = [split for file, split in split_of.items() if file.startswith(word)]
        assert sorted(splits) == ["test"] * 3 + ["valid"] * 2
