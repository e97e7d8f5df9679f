"""Many texts in compressed blocks, their order, and sets of names."""

import pickle
import random

from earbit.audio.names_seen import NamesSeen
from earbit.audio.texts import SortedTexts, Texts

ODD = ["", "\0", "a\nb", "ä€😀", "\udcff", "x" * 100_000]


def names(n):
    return [f"speaker {i % 40}/take {i}" for i in range(n)]


def test_texts_are_a_sequence_of_what_was_given():
    given = [*names(1000), *ODD]
    texts = Texts(iter(given))
    assert list(texts) == given
    assert len(texts) == len(given)
    assert [texts[i] for i in range(len(given))] == given
    assert texts[-1] == given[-1]
    assert texts[127:130] == given[127:130]
    assert list(pickle.loads(pickle.dumps(texts))) == given
    assert list(Texts([])) == []


def test_sorted_texts_have_the_order_of_sorted_also_over_many_chunks(monkeypatch):
    monkeypatch.setattr("earbit.audio.texts.SORTED_TEXTS", 64)
    given = [*names(1000), *ODD, "a", "a"]
    random.Random(0).shuffle(given)
    texts = SortedTexts()
    for text in given:
        texts.add(text)
    assert list(texts) == sorted(given)
    texts.add("later")
    assert list(texts) == sorted([*given, "later"])


def test_a_set_of_names_has_what_was_added_and_nothing_else():
    given = names(5000)
    seen = NamesSeen()
    for name in given[::2]:
        assert name not in seen
        seen.add(name)
        seen.add(name)
    assert all((name in seen) == (i % 2 == 0) for i, name in enumerate(given))
