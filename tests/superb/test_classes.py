import math

import pytest
import torch

from earbit.errors import DataError
from earbit.superb.kinds.classes import CLASS

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
