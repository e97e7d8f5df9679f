import pytest

from earbit.audio.folds import fold_splits
from earbit.errors import DataError
from earbit.heads.example import Example


def clips(n_of_fold, classes=("ang", "hap")):
    return [
        Example(id=f"{fold}-{name}-{i}", target=name, speaker=fold)
        for fold, n in n_of_fold.items()
        for name in classes
        for i in range(n)
    ]


def folds_of(examples):
    return {e.id: e.speaker for e in examples}


def test_each_fold_is_tested_once_and_a_fifth_of_each_class_of_the_others_validates():
    examples = clips({"a": 5, "b": 10, "c": 5})
    splits = fold_splits(examples, folds_of(examples))
    assert list(splits.folds) == ["a", "b", "c"]
    tested = [e.id for fold in splits.folds.values() for e in fold.test]
    assert sorted(tested) == sorted(e.id for e in examples)
    for name, fold in splits.folds.items():
        assert {e.speaker for e in fold.test} == {name}
        everything = [e.id for part in (fold.train, fold.valid, fold.test) for e in part]
        assert sorted(everything) == sorted(e.id for e in examples)
    valid = [e.target for e in splits.folds["a"].valid]
    assert (valid.count("ang"), valid.count("hap")) == (3, 3)  # of 15 each
    assert (splits.train, splits.test) == (splits.folds["a"].train, splits.folds["a"].test)


def test_the_summary_counts_the_classes_of_the_test_clips_of_all_folds():
    examples = [*clips({"a": 5, "b": 10}), *clips({"a": 2, "b": 2}, classes=("neu",))]
    summary = fold_splits(examples, folds_of(examples)).summary
    assert summary["folds"] == {"a": 12, "b": 22}
    assert summary["classes"] == {"ang": {"test": 15}, "hap": {"test": 15}, "neu": {"test": 4}}


def test_the_order_of_the_clips_changes_nothing():
    examples = clips({"a": 5, "b": 5})
    assert fold_splits(examples[::-1], folds_of(examples)) == fold_splits(
        examples, folds_of(examples)
    )


@pytest.mark.parametrize(
    ("examples", "problem"),
    [
        (clips({"a": 4}), "1 values of `fold`; 2 to 20"),
        (clips({f"f{i}": 1 for i in range(21)}), "21 values of `fold`; 2 to 20"),
        (clips({"a": 4, "b": 4}, classes=("ang",)), "fold 'a': 1 class outside"),
        (
            [*clips({"a": 2, "b": 2}), Example(id="x", target="sad", speaker="b")],
            "fold 'b': no clip of sad outside of it",
        ),
        (clips({"a": 1, "b": 1}), "fold 'a': one clip of each class outside of it"),
    ],
)
def test_folds_that_cannot_be_scored_are_one_line(examples, problem):
    with pytest.raises(DataError, match=problem) as error:
        fold_splits(examples, folds_of(examples))
    assert "\n" not in str(error.value)


def test_clips_without_a_fold_are_named():
    examples = clips({"a": 2, "b": 2})
    with pytest.raises(DataError, match="1 of 8 clips have no `fold`, the first 'a-ang-0'"):
        fold_splits(examples, {**folds_of(examples), "a-ang-0": None})
