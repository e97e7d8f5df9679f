"""Corpora that are too small or too uniform: a task uses them, or one line says what is needed."""

import pytest

from earbit.audio.corpus import Corpus
from earbit.audio.cuts import cut_of
from earbit.audio.manifest import Utterance
from earbit.audio.splits import Splits
from earbit.errors import DataError
from earbit.superb.tasks import TASKS
from earbit.superb.work import work_on

CLASS_LABELS = {"ks": "keyword", "ic": "intent", "er": "emotion"}
WORKS = None
CLASSES = "every class needs a clip in train, valid and test: add three clips per class"
SPEAKERS_OF_CLASS = "every class needs a clip in train, valid and test: add clips of at least three"
ONE_CLASS = "all of the class .*; at least two classes are needed"
VERIFICATION = "training clips or no split; at least 6 are needed, two each"


def labels(task, i, cls):
    """Labels of clip i of a class."""
    part = ("valid", "test")[i // 2 % 2]
    return {
        "pr": {"phones": ["AH0", "B"]},
        "asr": {"text": "YES"},
        "ks": {"keyword": cls},
        "qbe": {"query": cls, "split": part} if i % 2 else {"terms": [cls]},
        "sid": {},
        "asv": {},
        "sd": {"segments": [[0, 1, "s1"], [0.5, 2, "s2"]]},
        "ic": {"intent": cls},
        "sf": {"text": "MAKE TEA", "slots": {"drink": "tea"}},
        "er": {"emotion": cls},
    }[task]


def corpus(tmp_path, task, n, *, n_classes=2, n_speakers=12, split=None):
    lines = [
        {
            "speaker": f"s{i % n_speakers}",
            **({} if split is None else {"split": split(i)}),
            **labels(task, i, f"class {i // 4 % n_classes}"),
        }
        for i in range(n)
    ]
    cuts = [
        cut_of(Utterance(f"{i:02d}", tmp_path / f"{i}.wav", 16_000, 32_044, line))
        for i, line in enumerate(lines)
    ]
    from lhotse import CutSet

    return Corpus("small", tmp_path, CutSet.from_cuts(cuts), (), "digest")


def check(task, opened, problem):
    """The splits, or None where the line is as expected."""
    if problem is WORKS:
        return work_on(TASKS[task], opened).of_task
    with pytest.raises(DataError, match=problem) as error:
        work_on(TASKS[task], opened)
    assert "\n" not in str(error.value)
    return None


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ("pr", WORKS),
        ("asr", WORKS),
        ("ks", ONE_CLASS),
        ("qbe", "1 valid queries and 2 documents, and no query"),
        ("sid", CLASSES),
        ("asv", f"3 speakers have {VERIFICATION}"),
        ("sd", WORKS),
        ("ic", ONE_CLASS),
        ("sf", WORKS),
        ("er", ONE_CLASS),
    ],
)
def test_three_files(tmp_path, task, problem):
    splits = check(task, corpus(tmp_path, task, 3), problem)
    if splits is not None:
        assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [1, 1, 1]


@pytest.mark.parametrize("task", ["ks", "ic", "er"])
def test_three_files_of_two_classes(tmp_path, task):
    label = CLASS_LABELS[task]
    opened = corpus(tmp_path, task, 3)
    for i, cut in enumerate(opened.cuts):
        cut.custom[label] = f"class {i % 2}"
    check(task, opened, f"no clip of .*{SPEAKERS_OF_CLASS}")


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        *((task, WORKS) for task in ("pr", "asr", "sid", "asv", "sd", "sf")),
        *((task, f"48 clips, {ONE_CLASS}") for task in ("ks", "ic", "er")),
        ("qbe", "12 valid queries and 24 documents, and no query"),
    ],
)
def test_one_class(tmp_path, task, problem):
    check(task, corpus(tmp_path, task, 48, n_classes=1), problem)


@pytest.mark.parametrize("n_speakers", [1, 2])
@pytest.mark.parametrize("task", [task for task in TASKS if task not in ("asv", "sid")])
def test_one_or_two_speakers_are_split_by_clip_and_that_is_told(tmp_path, task, n_speakers):
    found = check(task, corpus(tmp_path, task, 48, n_speakers=n_speakers), WORKS)
    if not isinstance(found, Splits):
        return  # queries are not drawn
    assert [len(part) for part in (found.train, found.valid, found.test)] == [33, 5, 10]
    only = "one speaker" if n_speakers == 1 else "2 speakers"
    by_clip = f"test and valid by clip, since the corpus has only {only}"
    # Segments name the speakers, and here those of one clip are those of all others.
    by_id = "test and valid by id"
    assert found.summary["drawn_by"] == (by_id if task == "sd" else by_clip)


@pytest.mark.parametrize(
    ("task", "n_speakers", "problem"),
    [
        ("sid", 1, f"48 clips, {ONE_CLASS}"),
        ("sid", 2, WORKS),
        ("asv", 1, f"1 speaker has {VERIFICATION}"),
        ("asv", 2, f"2 speakers have {VERIFICATION}"),
        ("asv", 5, f"5 speakers have {VERIFICATION}"),
        ("asv", 6, WORKS),
    ],
)
def test_few_speakers_where_they_are_the_classes(tmp_path, task, n_speakers, problem):
    check(task, corpus(tmp_path, task, 48, n_speakers=n_speakers), problem)


@pytest.mark.parametrize("task", [task for task in TASKS if task not in ("qbe", "sid")])
def test_no_training_clip(tmp_path, task):
    opened = corpus(tmp_path, task, 48, split=lambda i: ("valid", "test")[i % 2])
    expected = "of 48 clips 24 have `split: valid`, 24 have `split: test`; clips to train on"
    check(task, opened, expected)


@pytest.mark.parametrize("task", [task for task in TASKS if task != "qbe"])
@pytest.mark.parametrize("lacking", ["valid", "test"])
def test_a_missing_part_is_drawn_from_the_training_clips(tmp_path, task, lacking):
    other = "valid" if lacking == "test" else "test"
    opened = corpus(tmp_path, task, 96, split=lambda i: other if i % 12 < 2 else "train")
    found = check(task, opened, WORKS)
    assert all((found.train, found.valid, found.test))


@pytest.mark.parametrize("part", ["valid", "test"])
def test_queries_of_one_part_alone(tmp_path, part):
    opened = corpus(tmp_path, "qbe", 48)
    for cut in opened.cuts:
        if cut.custom.get("split") == part:
            del cut.custom["split"]
    check("qbe", opened, f"0 {part} queries and 24 documents")
