import itertools
import math

import pytest
import torch

from earbit.errors import DataError
from earbit.superb.kinds.sequence import BLANK, SEQUENCE
from earbit.superb.metrics import text_of

SLOTS = ((BLANK, "a", "b"),)


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
    assert SEQUENCE.encode(("b", "a", "b"), SLOTS).tolist() == [2, 1, 2]
    with pytest.raises(DataError, match="'c' is in no training clip"):
        SEQUENCE.encode(("a", "c"), SLOTS)


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
    assert SEQUENCE.decode(torch.eye(3)[frames], SLOTS) == symbols


@pytest.mark.parametrize("target", [("a",), ("a", "b"), ("a", "a")])
def test_the_loss_is_minus_the_log_of_all_paths_that_decode_to_the_target(target):
    generator = torch.Generator().manual_seed(0)
    outputs_TC = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    log_TC = outputs_TC.log_softmax(-1)
    total = sum(
        math.exp(sum(log_TC[t, symbol].item() for t, symbol in enumerate(path)))
        for path in itertools.product(range(3), repeat=4)
        if SEQUENCE.decode(torch.eye(3)[list(path)], SLOTS) == target
    )
    # Frames behind the clip's four are padding.
    padded_BTC = torch.cat([outputs_TC, torch.full((2, 3), 9.0, dtype=torch.float64)])[None]
    encoded = [SEQUENCE.encode(target, SLOTS)]
    loss = SEQUENCE.loss(padded_BTC, torch.tensor([4]), encoded, SLOTS)
    assert loss.item() == pytest.approx(-math.log(total) / len(target))


@pytest.mark.parametrize(("target", "n"), [(("a",), 1), (("a", "b"), 2), (("a", "a", "a"), 5)])
def test_a_target_in_too_few_frames_has_no_loss_and_says_how_many_it_needs(target, n):
    assert SEQUENCE.min_frames(target) == n
    encoded = [SEQUENCE.encode(target, SLOTS)]
    losses = [
        SEQUENCE.loss(torch.zeros(1, n, 3), torch.tensor([n_frames]), encoded, SLOTS).item()
        for n_frames in (n - 1, n)
    ]
    assert losses[0] == 0
    assert losses[1] > 0
