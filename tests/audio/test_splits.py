import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earbit.audio.splits import class_splits, hold_out_speakers, speaker_splits, speakers_text
from earbit.errors import DataError
from earbit.heads.example import Example

WORDS = ("go", "no", "stop", "yes")


def example(i, word, speaker):
    return Example(id=f"{i:04d}", target=word, speaker=speaker)


def corpus(n_clips_of_speaker):
    """Speakers that say every word, some more often than others."""
    clips = [
        (word, f"speaker-{s}")
        for s, n in enumerate(n_clips_of_speaker)
        for word in WORDS
        for _ in range(n)
    ]
    return [example(i, word, speaker) for i, (word, speaker) in enumerate(clips)]


def parts(splits):
    return {"train": splits.train, "valid": splits.valid, "test": splits.test}


def speakers(part):
    return {e.speaker for e in part}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=3, max_size=30), st.randoms(use_true_random=False))
def test_held_out_speakers_are_in_one_split_and_every_class_in_all(n_clips, rng):
    examples = corpus(n_clips)
    splits = class_splits(examples, {})
    drawn = parts(splits)
    assert sorted(e.id for part in drawn.values() for e in part) == [e.id for e in examples]
    assert not speakers(drawn["train"]) & speakers(drawn["valid"])
    assert not speakers(drawn["train"]) & speakers(drawn["test"])
    assert not speakers(drawn["valid"]) & speakers(drawn["test"])
    for part in drawn.values():
        assert {e.target for e in part} == set(WORDS)
    rng.shuffle(examples)
    assert class_splits(examples, {}) == splits


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 9)), min_size=1, max_size=60))
def test_any_labels_give_splits_without_leakage_or_an_error_that_names_the_class(clips):
    examples = [example(i, word, f"s{s}") for i, (word, s) in enumerate(clips)]
    words = {word for word, _ in clips}
    try:
        splits = class_splits(examples, {})
    except DataError as error:
        assert any(f"{word!r}" in str(error) for word in words)  # noqa: PT017
    else:
        n_speakers = Counter(word for word, _ in set(clips))
        if len({speaker for _, speaker in clips}) < 3:
            assert "by clip" in splits.summary["drawn_by"]
        else:
            assert min(n_speakers.values()) >= 3
            assert splits.summary["n_shared_speakers"] == 0
        assert all({e.target for e in part} == words for part in parts(splits).values())


def test_held_out_speakers_have_about_their_share_of_the_clips():
    held = hold_out_speakers(corpus([2] * 50), {"test": 0.2, "valid": 0.1})
    assert {name: len(part) for name, part in held.items()} == {
        "test": 80,
        "valid": 40,
        "train": 280,
    }


def test_a_speaker_stays_where_it_is_when_others_join_behind_it():
    small, large = corpus([1] * 30), corpus([1] * 31)
    moved = [
        name
        for name, part in hold_out_speakers(small, {"test": 0.2}).items()
        for s in speakers(part) - speakers(hold_out_speakers(large, {"test": 0.2})[name])
    ]
    assert len(moved) <= 1


def test_splits_of_the_corpus_hold_when_all_three_are_there():
    examples = corpus([3])
    names = ["train", "valid", "test"]
    splits = class_splits(examples, {e.id: names[int(e.id) % 3] for e in examples})
    assert [e.id for e in splits.valid] == ["0001", "0004", "0007", "0010"]
    assert splits.summary["drawn_by"] == "corpus"
    assert splits.summary["n_shared_speakers"] == 1
    assert splits.summary["classes"]["go"] == {"train": 1, "valid": 1, "test": 1}


@pytest.mark.parametrize(("given", "drawn"), [("valid", "test"), ("test", "valid")])
@pytest.mark.parametrize("rest", ["train", None])
def test_what_the_corpus_says_is_kept_and_only_what_it_lacks_is_drawn(given, drawn, rest):
    examples = corpus([1] * 10)
    split_of = {e.id: given if e.speaker in ("speaker-3", "speaker-4") else rest for e in examples}
    splits = class_splits(examples, split_of)
    by_name = parts(splits)
    assert speakers(by_name[given]) == {"speaker-3", "speaker-4"}
    assert by_name[drawn]
    assert not speakers(by_name["train"]) & speakers(by_name[drawn])
    assert len(speakers(by_name["train"] + by_name[drawn])) == 8
    taken = "" if rest else "32 clips without a split taken as train; "
    assert splits.summary["drawn_by"] == f"corpus; {taken}{drawn} by speaker"


def test_splits_that_nobody_drew_are_drawn_by_speaker_and_say_so():
    examples = corpus([1] * 10)
    splits = class_splits(examples, {})
    assert splits.summary["drawn_by"] == "test and valid by speaker"
    alone = class_splits(examples, {e.id: "train" for e in examples})
    assert parts(alone) == parts(splits)


def test_a_corpus_without_train_clips_is_told_so():
    examples = corpus([1] * 10)
    with pytest.raises(DataError, match="^all 40 clips have `split: test`; .* --resplit"):
        class_splits(examples, {e.id: "test" for e in examples})


@pytest.mark.parametrize("split", [class_splits, speaker_splits])
def test_a_corpus_of_valid_and_test_clips_is_told_how_many(split):
    examples = corpus([1] * 10)
    given = {e.id: "valid" if e.target == "go" else "test" for e in examples}
    with pytest.raises(
        DataError, match="of 40 clips 10 have `split: valid`, 30 have `split: test`; .* --resplit"
    ):
        split(examples, given)


def test_a_class_that_a_split_of_the_corpus_lacks_is_named():
    examples = corpus([3])
    names = ["train", "valid", "test"]
    split_of = {e.id: names[int(e.id) % 3] for e in examples}
    split_of |= {e.id: "train" for e in examples if e.target == "stop"}
    with pytest.raises(DataError, match="'stop' in test"):
        class_splits(examples, split_of)


def test_a_valid_split_that_lacks_a_class_is_drawn_anew_and_says_so():
    examples = corpus([1] * 10)
    lone = {e.id for e in examples if e.speaker == "speaker-3" and e.target == "stop"}
    splits = class_splits(examples, {e.id: "valid" if e.id in lone else "train" for e in examples})
    assert splits.summary["drawn_by"] == (
        "corpus; test and valid by speaker; the valid clips of the corpus have none of "
        f"{', '.join(sorted({*WORDS} - {'stop'}))}, so they are used for training"
    )
    assert parts(splits) == parts(class_splits(examples, {}))


def test_resplit_is_advised_only_where_the_corpus_has_splits():
    examples = corpus([2])
    missing_class = {e.id: "train" for e in examples}
    missing_class |= {e.id: "test" for e in examples[:1]}
    few = [example(i, "text", "s") for i in range(2)]
    for split, clips, split_of in (
        (class_splits, examples, missing_class),
        (speaker_splits, few, {few[0].id: "test"}),
    ):
        with pytest.raises(DataError, match="; --resplit ignores `split` and draws new splits$"):
            split(clips, split_of)
        with pytest.raises(DataError) as error:
            split(clips, {e.id: None for e in clips})
        assert "resplit" not in str(error.value)


def test_clips_without_a_speaker_are_split_by_id_among_the_rest():
    nameless = [example(100 + i, "_silence_", None) for i in range(40)]
    examples = [*corpus([1] * 20), *nameless]
    random.Random(0).shuffle(examples)
    splits = class_splits(examples, {})
    drawn = parts(splits)
    assert sorted(e.id for part in drawn.values() for e in part) == sorted(e.id for e in examples)
    for part in drawn.values():
        assert {e.target for e in part} == {*WORDS, "_silence_"}
    known = {name: speakers(part) - {None} for name, part in drawn.items()}
    assert not known["train"] & known["test"] | known["train"] & known["valid"]
    assert not known["valid"] & known["test"]
    assert splits.summary["drawn_by"] == (
        "test and valid by speaker, 40 clips without a speaker by id"
    )
    # About their share of 40: a fifth and a tenth.
    silent = splits.summary["classes"]["_silence_"]
    assert silent["train"] > silent["test"] > 1


def test_speakers_are_split_as_without_the_clips_that_have_none():
    examples = corpus([1] * 30)
    alone = class_splits(examples, {})
    joined = class_splits([*examples, example(999, "go", None)], {})
    moved = sum(
        len(speakers(parts(alone)[name]) - speakers(parts(joined)[name])) for name in parts(alone)
    )
    assert moved <= 2


def test_a_corpus_without_any_speaker_is_split_by_id_and_says_so():
    examples = [example(i, WORDS[i % 4], None) for i in range(40)]
    splits = class_splits(examples, {})
    assert splits.summary["drawn_by"] == "test and valid by id"
    assert splits.summary["n_speakers"] == {"train": 0, "valid": 0, "test": 0}
    assert {name: len(part) for name, part in parts(splits).items()} == {
        "train": 28,
        "valid": 4,
        "test": 8,
    }


def test_a_single_class_is_refused_by_its_name():
    examples = [example(i, "yes", f"s{i}") for i in range(9)]
    with pytest.raises(DataError, match="9 clips, all of the class 'yes'; at least two classes"):
        class_splits(examples, {})


def test_train_keeps_the_speaker_with_most_clips_of_a_rare_class():
    many = [("yes", f"speaker-{s}") for s in range(12) for _ in range(5)]
    rare = [("alexa", f"rare-{n}") for n in (4, 40, 70) for _ in range(n)]
    examples = [example(i, word, speaker) for i, (word, speaker) in enumerate([*many, *rare])]
    counts = class_splits(examples, {}).summary["classes"]["alexa"]
    assert counts == {"train": 70, "valid": 40, "test": 4}


def test_splits_by_speaker_need_no_class_in_every_split():
    examples = [example(i, f"text {i}", f"s{i // 4}") for i in range(40)]
    splits = speaker_splits(examples, {})
    drawn = parts(splits)
    assert sorted(e.id for part in drawn.values() for e in part) == [e.id for e in examples]
    assert (len(splits.test), len(splits.valid)) == (8, 4)
    assert not speakers(drawn["train"]) & (speakers(drawn["valid"]) | speakers(drawn["test"]))
    assert not speakers(drawn["valid"]) & speakers(drawn["test"])
    assert splits.summary["drawn_by"] == "test and valid by speaker"
    assert speaker_splits(examples[::-1], {}) == splits


def test_splits_by_speaker_are_those_of_the_corpus_where_it_has_them():
    examples = [example(i, "text", "s") for i in range(6)]
    given = dict(zip([e.id for e in examples], ("train", "test", "valid") * 2, strict=True))
    splits = speaker_splits(examples, given)
    assert [e.id for e in splits.test] == ["0001", "0004"]
    assert splits.summary["drawn_by"] == "corpus"


def test_too_few_clips_for_three_splits_are_an_error():
    examples = [example(i, "text", f"s{i}") for i in range(2)]
    with pytest.raises(DataError, match="no test clip among 2 clips of 2 speakers; at least three"):
        speaker_splits(examples, {})


@pytest.mark.parametrize("split", [class_splits, speaker_splits])
@pytest.mark.parametrize(("n_speakers", "only"), [(1, "one speaker"), (2, "2 speakers")])
def test_one_or_two_speakers_are_split_by_clip_and_that_is_told(split, n_speakers, only):
    examples = corpus([10] * n_speakers)
    splits = split(examples, {})
    n = len(examples)
    assert {name: len(part) for name, part in parts(splits).items()} == {
        "train": n - n // 5 - n // 10,
        "valid": n // 10,
        "test": n // 5,
    }
    assert splits.summary["drawn_by"] == (
        f"test and valid by clip, since the corpus has only {only}"
    )
    assert splits.summary["n_shared_speakers"] == n_speakers


def test_two_speakers_are_held_out_where_one_split_is_missing():
    """One of them can be held out, the other is trained on."""
    examples = corpus([2] * 4)
    given = {"speaker-0": "valid", "speaker-1": "valid"}
    splits = speaker_splits(examples, {e.id: given.get(e.speaker, "train") for e in examples})
    assert splits.summary["drawn_by"] == "corpus; test by speaker"
    assert len(speakers(splits.test)) == len(speakers(splits.train)) == 1


@pytest.mark.parametrize(
    ("speakers", "text"),
    [((None, None), "unknown speakers"), (("a", None), "one speaker"), (("a", "b"), "2 speakers")],
)
def test_a_message_counts_the_speakers_that_are_known(speakers, text):
    clips = [example(i, "yes", speaker) for i, speaker in enumerate(speakers)]
    assert speakers_text(clips) == text
