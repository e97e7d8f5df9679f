from types import SimpleNamespace

import pytest
import torch

from earbit.errors import ConfigError, DataError
from earbit.superb.classification import balanced_weights, class_index, classes_of
from earbit.superb.ks import KS, keyword_splits
from earbit.superb.task import Example
from earbit.superb.tasks import TASKS, task_named


def cut(i, speaker, **labels):
    return SimpleNamespace(
        id=f"{i:03d}", custom=labels or None, supervisions=[SimpleNamespace(speaker=speaker)]
    )


def cuts(words=("yes", "no", "_unknown_", "_silence_"), n_speakers=6, **labels):
    pairs = [(word, f"s{s}") for s in range(n_speakers) for word in words]
    return [cut(i, s, keyword=word, **labels) for i, (word, s) in enumerate(pairs)]


def test_unknown_and_silence_are_classes_like_any_word():
    splits = keyword_splits(cuts())
    assert KS.outputs(splits.train) == ("_silence_", "_unknown_", "no", "yes")
    assert splits.summary["drawn_by"] == "test and valid by speaker"


def test_clips_without_a_keyword_are_left_out_and_counted():
    others = [cut(900, "s1", text="a sentence"), cut(901, None), cut(902, "s1", keyword=None)]
    splits = keyword_splits([*cuts(), *others])
    assert splits.summary["n_without_keyword"] == 3
    assert len(splits.train) + len(splits.valid) + len(splits.test) == 24


def test_lhotse_cuts_serve_as_they_are():
    lhotse = pytest.importorskip("lhotse")
    made = []
    for i, plain in enumerate(cuts()):
        supervision = lhotse.SupervisionSegment(
            id=str(i), recording_id=str(i), start=0, duration=1, speaker=f"s{i // 4}"
        )
        made.append(
            lhotse.MonoCut(
                id=plain.id,
                start=0,
                duration=1,
                channel=0,
                supervisions=[supervision],
                custom=plain.custom,
            )
        )
    assert keyword_splits(lhotse.CutSet.from_cuts(made)) == keyword_splits(cuts())


def test_a_corpus_without_keywords_is_told_where_they_are_read_from():
    with pytest.raises(
        DataError,
        match="none of the 2 clips has a keyword.*manifest.jsonl.*docs/corpus.md.*--labels",
    ):
        keyword_splits([cut(0, "s0", text="hello"), cut(1, "s1")])


def test_a_split_label_that_is_no_text_is_no_label():
    splits = keyword_splits(cuts(split=["train"]))
    assert splits == keyword_splits(cuts())


def test_one_word_alone_is_no_task():
    with pytest.raises(DataError, match="6 clips, all of the class 'yes'"):
        keyword_splits(cuts(words=("yes",)))


def test_every_class_is_drawn_equally_often():
    words = ["yes"] * 30 + ["no"] * 3
    weights = balanced_weights([Example(id=w, target=w, speaker=None) for w in words])
    assert weights[:30].sum().item() == pytest.approx(weights[30:].sum().item(), rel=1e-5)


def test_a_class_is_its_place_in_the_sorted_list():
    classes = classes_of([Example(id=w, target=w, speaker=None) for w in ("yes", "go", "no")])
    assert [int(class_index(w, classes)) for w in ("go", "no", "yes")] == [0, 1, 2]
    with pytest.raises(DataError, match="'stop' has no training clip"):
        class_index("stop", classes)


def test_the_loss_of_even_odds_is_the_log_of_the_number_of_classes():
    assert KS.loss is not None
    loss = KS.loss(torch.zeros(2, 4), torch.tensor([3, 5]), [torch.tensor(0), torch.tensor(3)])
    assert loss.item() == pytest.approx(1.3862944)


def test_scores_are_accuracy_and_mean_class_accuracy():
    examples = [Example(id=str(i), target=w, speaker=None) for i, w in enumerate("aaab")]
    assert KS.metrics(["a", "a", "a", "a"], examples) == {
        "accuracy": 0.75,
        "mean_class_accuracy": 0.5,
    }


def test_tasks_are_found_by_name_and_near_names_are_suggested():
    assert TASKS == {"ks": KS}
    assert task_named("ks") is KS
    with pytest.raises(ConfigError, match="unknown task 'sk'"):
        task_named("sk")
