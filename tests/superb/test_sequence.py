import itertools
import math

import pytest
import torch

from earbit.errors import DataError
from earbit.heads.kinds.sequence import BLANK, SEQUENCE
from earbit.heads.metrics import text_of

SLOTS = ((BLANK, "a", "b"),)


def encode(target):
    return SEQUENCE.encode(target, SLOTS, 9, 320)


def decode(outputs_TC):
    return SEQUENCE.decode(outputs_TC, SLOTS, 320, None)


def loss_of(outputs_BTC, n_frames, target):
    lengths = torch.tensor([n_frames])
    return SEQUENCE.loss(None, outputs_BTC, lengths, [encode(target)], SLOTS).item()


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("ab a", ("a", "b", " ", "a")),
        (" a \n b ", ("a", " ", "b")),
        (["HH", "AH0"], ("HH ", "AH0 ")),
        ("", None),
        ("  ", None),
        (None, None),
        (7, None),
        ([], None),
        (["HH", ""], None),
        (["HH", 1], None),
    ],
)
def test_a_label_is_a_text_or_a_list_of_symbols(value, target):
    assert SEQUENCE.target_of(value) == target


def test_symbols_of_a_list_are_words_of_the_text():
    assert text_of(SEQUENCE.target_of(["HH", "AH0"])) == "HH AH0"


def test_the_vocabulary_is_the_blank_and_the_symbols_of_the_training_clips():
    targets = [SEQUENCE.target_of("b a"), SEQUENCE.target_of("ca")]
    assert SEQUENCE.slots_of(targets) == ((BLANK, " ", "a", "b", "c"),)


def test_symbols_are_numbered_from_one():
    assert encode(("b", "a", "b")).tolist() == [2, 1, 2]
    with pytest.raises(DataError, match="'c' is in no training clip"):
        encode(("a", "c"))


@pytest.mark.parametrize(
    ("frames", "symbols"),
    [
        ([1, 1, 2], ("a", "b")),
        ([1, 0, 1, 1], ("a", "a")),
        ([0, 0, 2, 0], ("b",)),
        ([0, 0], ()),
    ],
)
def test_decoding_merges_repeats_and_drops_blanks(frames, symbols):
    assert decode(torch.eye(3)[frames]) == symbols


@pytest.mark.parametrize("target", [("a",), ("a", "b"), ("a", "a")])
def test_the_loss_is_minus_the_log_of_all_paths_that_decode_to_the_target(target):
    generator = torch.Generator().manual_seed(0)
    outputs_TC = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    log_TC = outputs_TC.log_softmax(-1)
    total = sum(
        math.exp(sum(log_TC[t, symbol].item() for t, symbol in enumerate(path)))
        for path in itertools.product(range(3), repeat=4)
        if decode(torch.eye(3)[list(path)]) == target
    )
    # Frames behind the clip's four are padding.
    padded_BTC = torch.cat([outputs_TC, torch.full((2, 3), 9.0, dtype=torch.float64)])[None]
    assert loss_of(padded_BTC, 4, target) == pytest.approx(-math.log(total) / len(target))


@pytest.mark.parametrize(("target", "n"), [(("a",), 1), (("a", "b"), 2), (("a", "a", "a"), 5)])
def test_a_target_in_too_few_frames_has_no_loss_and_says_how_many_it_needs(target, n):
    assert SEQUENCE.min_frames(target) == n
    losses = [loss_of(torch.zeros(1, n, 3), n_frames, target) for n_frames in (n - 1, n)]
    assert losses[0] == 0
    assert losses[1] > 0
