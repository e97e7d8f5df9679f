import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from one_task import run_task

from earbit.audio.splits import NAMES, Splits
from earbit.errors import DataError
from earbit.heads.example import Example
from earbit.heads.kinds.classes import CLASS
from earbit.superb.head_file import load_head
from earbit.superb.ic import IC

WORDS = (("go", "no", "yes"),)
INTENTS = (("dim", "raise"), ("heat", "light", "sound"))


def encode(target, slots):
    return CLASS.encode(target, slots, 9, 320)


def decode(outputs_C, slots):
    return CLASS.decode(outputs_C, slots, 320, None)


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("yes", "yes"),
        (["raise", "heat"], ("raise", "heat")),
        ("", None),
        (None, None),
        (3, None),
        ([], None),
        (["raise", ""], None),
        (["raise", 1], None),
    ],
)
def test_a_label_is_a_class_or_a_class_per_slot(value, target):
    assert CLASS.target_of(value) == target


def test_classes_are_sorted_slot_by_slot():
    assert CLASS.slots_of(["yes", "go", "no", "go"]) == WORDS
    targets = [("raise", "heat"), ("dim", "light"), ("dim", "sound")]
    assert CLASS.slots_of(targets) == INTENTS


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["yes", "yes"], "the only class among 2 clips is yes"),
        ([], "the only class among 0 clips is none"),
        (["yes", ("yes", "no")], r"labels with \[1, 2\] slots"),
    ],
)
def test_targets_that_are_no_classes_to_tell_apart_are_an_error(targets, message):
    with pytest.raises(DataError, match=message):
        CLASS.slots_of(targets)


def test_a_class_is_its_place_in_the_slot():
    assert [encode(word, WORDS).tolist() for word in ("go", "yes")] == [[0], [2]]
    assert encode(("raise", "light"), INTENTS).tolist() == [1, 1]
    with pytest.raises(DataError, match="'stop' has no training clip"):
        encode("stop", WORDS)


def test_the_loss_of_even_odds_is_the_log_of_the_number_of_classes():
    lengths = torch.tensor([3, 5])
    targets = [encode(word, WORDS) for word in ("go", "yes")]
    loss = CLASS.loss(None, torch.zeros(2, 3), lengths, targets, WORDS)
    assert loss.item() == pytest.approx(math.log(3))


def test_the_loss_of_several_slots_is_the_sum_of_theirs():
    outputs_BC = torch.tensor([[0.0, math.log(3), 0.0, 0.0, 0.0]])
    target = encode(("raise", "light"), INTENTS)
    loss = CLASS.loss(None, outputs_BC, torch.tensor([1]), [target], INTENTS)
    assert loss.item() == pytest.approx(-math.log(3 / 4) + math.log(3))


def test_the_largest_output_decides_in_every_slot():
    assert decode(torch.tensor([0.1, 0.3, 0.2]), WORDS) == "no"
    assert decode(torch.tensor([0.2, 0.1, 0.0, 0.1, 9.0]), INTENTS) == ("dim", "sound")


# Splits of speakers as classes, and of several slots.


def clip(name, target, speaker):
    return Example(id=name, target=target, speaker=speaker)


def spoken(n_speakers=4, n_clips=20):
    return [
        clip(f"s{s}-{i:02d}", f"s{s}", f"s{s}") for s in range(n_speakers) for i in range(n_clips)
    ]


def speakers_in(part):
    return {example.target for example in part}


def parts_of(splits):
    return splits.train, splits.valid, splits.test


def ids_of(splits):
    return [sorted(e.id for e in part) for part in parts_of(splits)]


def test_where_speakers_are_the_classes_every_speaker_is_in_every_part():
    clips = spoken()
    splits = CLASS.splits(clips, dict.fromkeys(e.id for e in clips))
    for part in parts_of(splits):
        assert speakers_in(part) == {"s0", "s1", "s2", "s3"}
    assert sorted(e.id for part in parts_of(splits) for e in part) == sorted(e.id for e in clips)
    assert len(splits.train) > len(splits.test) >= len(splits.valid)


def test_splits_of_the_corpus_with_every_speaker_in_train_are_kept():
    clips = spoken()
    part_of = {e.id: ("test", "valid", "train")[min(int(e.id[-2:]) // 2, 2)] for e in clips}
    splits = CLASS.splits(clips, part_of)
    wanted = [sorted(i for i, part in part_of.items() if part == name) for name in NAMES]
    assert ids_of(splits) == wanted
    assert splits.summary["drawn_by"] == "corpus"


def test_splits_of_the_corpus_that_hold_out_speakers_are_not_used_and_that_is_told():
    clips = spoken()
    part_of = {e.id: {"s3": "test", "s2": "valid"}.get(e.target, "train") for e in clips}
    splits = CLASS.splits(clips, part_of)
    for part in parts_of(splits):
        assert speakers_in(part) == {"s0", "s1", "s2", "s3"}
    assert "hold out speakers" in splits.summary["drawn_by"]


def test_speakers_of_speaker_identification_are_kept_in_the_examples_for_the_intervals():
    """Clips of a speaker are a group; without speakers every clip would be one."""
    clips = spoken()
    splits = CLASS.splits(clips, dict.fromkeys(e.id for e in clips))
    cases = CLASS.cases(splits.test, {e.id: "s0" for e in splits.test}, ())
    assert set(cases.groups) == {f"speaker s{i}" for i in range(4)}


def test_of_several_slots_speakers_are_held_out_though_a_combination_is_in_one_part_alone():
    pairs = [("dim", "heat"), ("raise", "light"), ("dim", "sound")]
    clips = [clip(f"{s}-{i}", pairs[(s + i) % 3], f"s{s}") for s in range(10) for i in range(3)]
    clips.append(clip("only", ("raise", "heat"), "s0"))
    splits = CLASS.splits(clips, dict.fromkeys(e.id for e in clips))
    assert all(parts_of(splits))
    assert splits.summary["n_shared_speakers"] == 0


def test_a_tuple_of_slots_is_learned_slot_by_slot(toy, tmp_path):
    """The test has a combination of slots that no training clip has."""
    rng = np.random.default_rng(0)
    clips, parts = {}, {"train": [], "valid": [], "test": []}
    seen = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    for part, pairs in (("train", seen), ("valid", seen), ("test", [(0, 2)])):
        for k in range(40 if part == "train" else 8):
            a, b = pairs[k % len(pairs)]
            data = 0.1 * rng.normal(size=(3, 5, 8)).astype(np.float32)
            data[1, :, a] += 1
            data[1, :, 2 + b] += 1
            clips[f"{part}{k}"] = data
            parts[part].append(clip(f"{part}{k}", (INTENTS[0][a], INTENTS[1][b]), None))
    splits = Splits(**{name: tuple(part) for name, part in parts.items()})
    protocol = replace(IC.proxy, lrs=(1e-2,), n_steps=120, n_checks=1)
    score = run_task(IC, toy.frozen(clips), splits, tmp_path, protocol=protocol, seed=0)
    assert score["value"] == 1.0
    assert load_head(tmp_path).slots == INTENTS


def test_another_number_of_slots_in_a_test_clip_is_an_error_before_training():
    targets = [("set", "light"), ("stop", "heat")] * 4 + [("set", "light", "on")]
    clips = [Example(id=str(i), target=t, speaker=f"s{i}") for i, t in enumerate(targets)]
    split_of = {str(i): "train" if i < 4 else "valid" if i < 8 else "test" for i in range(9)}
    with pytest.raises(DataError, match=r"labels with \[2, 3\] slots"):
        CLASS.splits(clips, split_of)
