from random import Random

from earbit.audio.synthetic.grammar import (
    KEYWORDS,
    OTHER_WORDS,
    SLOT_VALUES,
    TEMPLATES,
    random_sentence,
)


def test_a_sentence_says_the_values_of_its_slots_and_no_placeholder():
    random = Random(0)
    for _ in range(300):
        sentence = random_sentence(random)
        assert "{" not in sentence.text
        assert sentence.slots
        for name, value in sentence.slots.items():
            assert value in SLOT_VALUES[name]
            assert value in sentence.text


def test_every_intent_and_every_value_is_said_sooner_or_later():
    random = Random(0)
    sentences = [random_sentence(random) for _ in range(2_000)]
    assert {s.intent for s in sentences} == set(TEMPLATES)
    said = {(name, value) for s in sentences for name, value in s.slots.items()}
    assert said == {(name, value) for name, values in SLOT_VALUES.items() for value in values}


def test_a_seed_tells_the_sentences():
    first = [random_sentence(Random(seed)) for seed in range(20)]
    assert [random_sentence(Random(seed)) for seed in range(20)] == first
    assert len({s.text for s in first}) > 10


def test_no_word_is_both_a_keyword_and_unknown():
    assert not set(KEYWORDS) & set(OTHER_WORDS)
    assert len(set(KEYWORDS)) == len(KEYWORDS) >= 10
    assert len(set(OTHER_WORDS)) == len(OTHER_WORDS)
