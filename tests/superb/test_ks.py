from pathlib import Path
from types import SimpleNamespace

import pytest

from earbit.audio.corpus import Corpus
from earbit.errors import DataError
from earbit.heads.kinds.classes import CLASS
from earbit.superb.examples import task_splits
from earbit.superb.ks import KS


def cut(i, speaker, **labels):
    return SimpleNamespace(
        id=f"{i:03d}", custom=labels or None, supervisions=[SimpleNamespace(speaker=speaker)]
    )


def corpus(cuts, root="nowhere"):
    return Corpus("notes", Path(root), cuts, (), "digest")


def cuts(words=("yes", "no", "_unknown_", "_silence_"), n_speakers=6, **labels):
    pairs = [(word, f"s{s}") for s in range(n_speakers) for word in words]
    return [cut(i, s, keyword=word, **labels) for i, (word, s) in enumerate(pairs)]


def test_unknown_and_silence_are_classes_like_any_word():
    splits = task_splits(KS, corpus(cuts()))
    targets = [example.target for example in splits.train]
    assert CLASS.slots_of(targets) == (("_silence_", "_unknown_", "no", "yes"),)
    assert splits.summary["drawn_by"] == "test and valid by speaker"


def test_clips_without_a_keyword_are_left_out_and_counted():
    others = [cut(900, "s1", text="a sentence"), cut(901, None), cut(902, "s1", keyword=None)]
    splits = task_splits(KS, corpus([*cuts(), *others]))
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
    assert task_splits(KS, corpus(lhotse.CutSet.from_cuts(made))) == task_splits(KS, corpus(cuts()))


def test_a_corpus_without_keywords_is_told_how_to_get_them():
    with pytest.raises(DataError, match="no clip among 2 has a usable `keyword`.*manifest.jsonl"):
        task_splits(KS, corpus([cut(0, "s0", text="hello"), cut(1, "s1")]))


def test_a_split_label_that_is_no_text_is_no_label():
    assert task_splits(KS, corpus(cuts(split=["train"]))) == task_splits(KS, corpus(cuts()))
