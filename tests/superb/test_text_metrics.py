"""Error rates of text, and of slots in text."""

import sys

import jiwer
import numpy as np
import pytest

from earbit.errors import UnsupportedError
from earbit.heads.cases import Cases
from earbit.heads.metrics import METRICS

TEXTS = ["the cat sat", "a dog", "no", "turn the light on"]


def value(name, predictions, references):
    groups = [str(i) for i in range(len(references))]
    return METRICS[name].of(Cases(predictions, references, groups))


def test_error_rates_count_edits_over_the_whole_corpus():
    references = [tuple("a cat"), tuple("dogs")]
    predictions = [tuple("a bat"), tuple("dog")]
    assert value("wer", predictions, references) == pytest.approx(2 / 3)
    assert value("cer", predictions, references) == pytest.approx(2 / 9)
    assert value("cer", [(), ()], references) == 1.0


def spoilt(text, rng):
    words = text.split()
    for _ in range(rng.integers(0, 4)):
        where = int(rng.integers(len(words) + 1))
        match rng.integers(3):
            case 0:
                words.insert(where, "cat")
            case 1:
                words = words[:where] + words[where + 1 :]
            case 2:
                words[where : where + 1] = ["dog"]
    return " ".join(words)


@pytest.mark.parametrize("seed", range(5))
def test_error_rates_are_those_of_jiwer_on_the_whole_lists(seed):
    rng = np.random.default_rng(seed)
    predictions = [spoilt(text, rng) for text in TEXTS]
    symbols = [tuple(text) for text in predictions], [tuple(text) for text in TEXTS]
    assert value("wer", *symbols) == pytest.approx(jiwer.wer(TEXTS, predictions))
    assert value("cer", *symbols) == pytest.approx(jiwer.cer(TEXTS, predictions))


def test_more_insertions_than_words_are_a_rate_above_one():
    assert value("wer", [tuple("a b c d")], [tuple("x")]) == 4


def test_the_phone_error_rate_counts_phones_not_letters():
    # HH AH0 L OW1: one deleted, one of two letters wrong, which is one wrong phone.
    reference, prediction = ("HH ", "AH0 ", "L ", "OW1 "), ("HH ", "AH1 ", "OW1 ")
    assert value("per", [prediction], [reference]) == 0.5
    assert value("per", [()], [reference]) == 1.0
    assert value("wer", [("HH ", "AH0 ")], [reference]) == 0.5


def test_without_jiwer_error_rates_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(UnsupportedError, match="install it with: .* -m pip install .*jiwer"):
        value("wer", [("a",)], [("a",)])


def marked(text):
    """Symbols of a text with markers."""
    symbols = []
    for word in text.split():
        if symbols and symbols[-1][:2] != "B-" and word[:2] != "E-":
            symbols.append(" ")
        symbols += {"B-": [f"{word} "], "E-": [f" {word}"]}.get(word[:2], word)
    return tuple(symbols)


def slots(prediction, reference):
    pair = [marked(prediction)], [marked(reference)]
    return value("slot_type_f1", *pair), value("slot_value_cer", *pair)


@pytest.mark.parametrize(
    ("prediction", "reference", "f1", "cer"),
    [
        ("B-city PARI E-city B-date NOW E-date", "B-city PARIS E-city", 2 / 3, 1 / 5),
        ("B-city PARIS E-city", "B-city PARIS E-city", 1, 0),
        # A slot that is not found has an empty value.
        ("PARIS", "B-city PARIS E-city", 0, 1),
        # Of two values of the same slot, the nearest counts.
        ("B-city LONDON E-city B-city PARI E-city", "B-city PARIS E-city", 1, 1 / 5),
        # Both cities of the reference are compared with the one city found.
        ("B-city PARIS E-city", "B-city PARIS E-city TO B-city OSLO E-city", 1, 5 / 9),
        # A slot that is not closed is none.
        ("B-city PARIS", "B-city PARIS E-city", 0, 1),
        # A slot is closed by its own end alone.
        ("B-city PARIS E-date E-city", "B-city PARIS E-city", 1, 0),
        # The name of one slot begins with that of another.
        ("B-to PARIS E-town E-to", "B-to PARIS E-to", 1, 0),
        # Markers inside of a value are not part of it.
        ("B-city PA B-x RIS E-city", "B-city PARIS E-city", 1, 1 / 5),
        # The text around does not matter.
        ("HELLO B-city PARIS E-city", "BYE B-city PARIS E-city NOW", 1, 0),
    ],
)
def test_slots_by_hand(prediction, reference, f1, cer):
    assert slots(prediction, reference) == (pytest.approx(f1), pytest.approx(cer))


def test_f1_is_one_where_neither_has_a_slot_and_zero_where_one_has():
    some, none = marked("B-city PARIS E-city"), tuple("HELLO")
    assert value("slot_type_f1", [none], [none]) == 1
    assert value("slot_type_f1", [some], [none]) == 0
    assert value("slot_type_f1", [none], [some]) == 0
    assert value("slot_type_f1", [some, some], [some, none]) == 0.5


def test_slot_types_are_a_set_per_utterance():
    """Two cities found where one is said is no fault of the types."""
    pair = marked("B-city A E-city B-city C E-city"), marked("B-city A E-city")
    assert value("slot_type_f1", [pair[0]], [pair[1]]) == 1


def test_the_value_error_rate_is_summed_over_utterances():
    predictions = [marked("B-city PARI E-city"), marked("B-day NO E-day")]
    references = [marked("B-city PARIS E-city"), marked("B-day NOW E-day")]
    assert value("slot_value_cer", predictions, references) == pytest.approx(2 / 8)
