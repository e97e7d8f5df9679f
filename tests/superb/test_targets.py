"""Targets of the tasks from the labels of a manifest; labels of a wrong type are none."""

import pytest

from earbit.heads.kinds.table import KINDS
from earbit.heads.metrics import slots_in, text_of
from earbit.superb.tasks import TASKS

WRONG = [
    None, 3, 2.5, True, "", "  ", [], [1, 2], [None], ["a", 1], [[]], [["a"]], [["a", 1]],
    [["a", "b", "c"]], [{"a": 1}], {}, {"a": 1}, {"a": None}, {"a": ["b"]}, {"": "b"},
    [[1, 2, 3, 4]], [["a", ""]],
]  # fmt: skip
"""What a JSON manifest may hold under any name."""


def target(name, **labels):
    return targets(name, labels)[0]


def targets(name, *clips):
    task = TASKS[name]
    return [KINDS[task.kind].target_of(value) for value in task.targets_of(clips)]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.kind != "match"])
def test_a_label_of_any_type_gives_a_target_or_none(name, wrong):
    labels = {field: wrong for field in ("text", "phones", "intent", "slots", "keyword", "emotion")}
    clip = {**labels, "speaker": None, "segments": wrong}
    for clips in ([clip], [clip, {"speaker": None}], [clip, {**clip, "text": "a b"}]):
        assert len(targets(name, *clips)) == len(clips)
    assert targets(name, {"speaker": None}, {}) == [None, None]


def test_phones_are_a_list_or_a_text_that_is_split():
    assert target("pr", phones="HH AH0  L") == target("pr", phones=["HH", "AH0", "L"])
    assert target("pr", phones="HH AH0 L") == ("HH ", "AH0 ", "L ")
    for wrong in ("", " ", 3, ["HH", 1], ["HH", ""], {"HH": 1}):
        assert target("pr", phones=wrong) is None


def test_a_transcript_is_in_upper_case_with_single_spaces():
    assert target("asr", text=" Turn  it\non ") == tuple("TURN IT ON")
    for wrong in ("", "  ", 3, ["a"], None):
        assert target("asr", text=wrong) is None


# Slot filling.


def sf(**labels):
    found = target("sf", **labels)
    return None if found is None else text_of(found)


def test_values_are_marked_where_they_stand_in_the_text():
    slots = {"room": "kitchen", "device": "light"}
    assert sf(text="turn on the light in the kitchen", slots=slots) == (
        "TURN ON THE B-device LIGHT E-device IN THE B-room KITCHEN E-room"
    )


def test_a_marker_is_one_symbol():
    assert target("sf", text="in oslo", slots={"city": "Oslo"}) == (
        *"IN ", "B-city ", *"OSLO", " E-city"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "slots", "marked"),
    [
        # Whole words alone: "on" is not in "london".
        ("london on", {"x": "on"}, "LONDON B-x ON E-x"),
        # A value that stands twice is marked once, and twice if it is given twice.
        ("two or two", {"n": "two"}, "B-n TWO E-n OR TWO"),
        ("two or two", [["n", "two"], ["m", "two"]], "B-n TWO E-n OR B-m TWO E-m"),
        # Adjacent slots of one type stay apart.
        ("rock jazz", [["g", "rock"], ["g", "jazz"]], "B-g ROCK E-g B-g JAZZ E-g"),
        # Spaces and case do not matter.
        ("oat  Milk please", {"milk": "OAT milk"}, "B-milk OAT MILK E-milk PLEASE"),
        # A value that overlaps another is looked for behind it.
        ("green tea tea", [["a", "green tea"], ["b", "tea"]], "B-a GREEN TEA E-a B-b TEA E-b"),
        ("oslo", {"city": "oslo"}, "B-city OSLO E-city"),
        # A value with the index of its first word stands there.
        ("oslo to oslo", [["to", "oslo", 2]], "OSLO TO B-to OSLO E-to"),
        ("new york is new", [["a", "new", 3], ["b", "new", 0]], "B-b NEW E-b YORK IS B-a NEW E-a"),
    ],
)
def test_marked_texts_by_hand(text, slots, marked):
    assert sf(text=text, slots=slots) == marked
    pairs = slots.items() if isinstance(slots, dict) else [pair[:2] for pair in slots]
    values = sorted((name, " ".join(value.upper().split())) for name, value in pairs)
    assert sorted(slots_in(target("sf", text=text, slots=slots))) == values


def test_a_text_without_a_slot_counts_where_another_clip_has_one():
    without, with_one = {"text": "in oslo", "slots": []}, {"text": "oslo", "slots": {"a": "oslo"}}
    assert targets("sf", without, with_one)[0] == tuple("IN OSLO")
    assert targets("sf", without, without) == [None, None]


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("in oslo", {"city": "paris"}),
        ("in oslo", {"city": "osl"}),
        ("oslo", [["a", "oslo"], ["b", "oslo"]]),
        ("green tea", [["a", "green tea"], ["b", "tea"]]),
        ("in oslo", {"city": " "}),
        # The word of a place is none, another one or part of a word.
        ("in oslo", [["city", "oslo", 2]]),
        ("in oslo", [["city", "oslo", 0]]),
        ("in oslo", [["city", "osl", 1]]),
        ("in oslo", [["city", "oslo", -1]]),
        ("in oslo", [["city", "oslo", "1"]]),
        ("in oslo", [["city", "oslo", True]]),
        ("oslo oslo", [["a", "oslo oslo", 0], ["b", "oslo", 1]]),
        ("in oslo", {}),
    ],
)
def test_a_value_that_is_not_in_the_text_leaves_the_clip_out(text, slots):
    assert sf(text=text, slots=slots) is None


def test_without_a_text_the_values_stand_alone():
    assert sf(slots={"room": "kitchen", "device": "light"}) == (
        "B-room KITCHEN E-room B-device LIGHT E-device"
    )


def test_a_slot_whose_name_has_a_space_is_found_again():
    """A marker ends with the first space."""
    found = target("sf", text="in oslo", slots={"my city": "oslo"})
    assert slots_in(found) == [("my_city", "OSLO")]


def test_a_value_with_a_hyphen_is_found_as_it_is():
    for value in ("E-MAIL LIST", "CUBE-SHAPED", "B-SIDE"):
        found = target("sf", text=f"play {value}", slots={"what": value})
        assert slots_in(found) == [("what", value)]


# Intents.


def test_intents_are_classes_where_they_vary():
    assert targets("ic", {"intent": "on"}, {"intent": "off"}, {}) == ["on", "off", None]
    assert targets("ic", {"intent": ["on", "light"]}, {"intent": ["off", "fan"]}) == [
        ("on", "light"),
        ("off", "fan"),
    ]


def test_where_there_is_one_intent_the_slots_tell_clips_apart():
    clips = [
        {"intent": "set", "slots": {"room": "kitchen", "device": "fan", "unit": "one"}},
        {"intent": "set", "slots": {"room": "hall", "device": "fan", "unit": "one"}},
        {"intent": "set", "slots": {"device": "light", "unit": "one"}},
        {"intent": "set"},
    ]
    # The unit is the same in all clips, and a clip without a room has none.
    assert targets("ic", *clips) == [
        ("device=fan", "room=kitchen"),
        ("device=fan", "room=hall"),
        ("device=light", "room=none"),
        None,
    ]


def test_one_slot_that_varies_is_a_class():
    clips = [{"slots": {"room": "kitchen"}}, {"slots": {"room": "hall"}}]
    assert targets("ic", *clips) == ["room=kitchen", "room=hall"]


def test_clips_that_nothing_tells_apart_have_one_class():
    """The splits refuse it by its name."""
    assert targets("ic", {"intent": "set"}, {"intent": "set"}) == ["set", "set"]
    same = {"intent": "set", "slots": {"room": "hall"}}
    assert targets("ic", same, same) == ["set", "set"]
    assert targets("ic", {"slots": {"room": "hall"}}, {"slots": {"room": "hall"}}) == [None, None]


@pytest.mark.parametrize("name", ["ks", "er"])
def test_keywords_and_emotions_are_the_words_of_their_label(name):
    assert target(name, **{TASKS[name].label: "happy"}) == "happy"
