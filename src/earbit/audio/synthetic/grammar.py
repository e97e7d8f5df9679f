"""Texts of the synthetic corpus: commands with intents and slots, and single keywords."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN = "_unknown_"
"""Label of clips without a keyword."""
OTHER_WORDS = (
    "bed", "bird", "cat", "dog", "eight", "five", "happy", "house", "marvin", "nine",
    "seven", "sheila", "six", "three", "tree", "two", "wow", "zero", "water", "window",
)  # fmt: skip

SLOT_VALUES = {
    "room": ("kitchen", "bedroom", "bathroom", "garage", "living room", "hallway"),
    "device": ("light", "heater", "radio", "fan", "television"),
    "size": ("small", "medium", "large"),
    "drink": ("coffee", "latte", "espresso", "cappuccino", "hot chocolate", "green tea"),
    "milk": ("oat milk", "whole milk", "soy milk", "no milk"),
    "number": ("two", "five", "ten", "fifteen", "twenty", "forty"),
    "unit": ("seconds", "minutes", "hours"),
    "city": ("London", "Paris", "Berlin", "Lisbon", "Oslo", "Toronto"),
    "day": ("today", "tomorrow", "on Sunday", "next Friday"),
    "person": ("Alice", "Robert", "Maria", "Doctor Green", "my brother"),
    "genre": ("jazz", "rock", "classical music", "the news", "folk songs"),
}

TEMPLATES = {
    "switch_on": ("turn on the {device} in the {room}", "switch the {room} {device} on"),
    "switch_off": ("turn off the {device} in the {room}", "switch the {room} {device} off"),
    "order": (
        "order a {size} {drink} with {milk}",
        "I would like a {size} {drink}",
        "can I get one {drink} with {milk} please",
    ),
    "timer": ("set a timer for {number} {unit}", "wake me up in {number} {unit}"),
    "weather": ("what is the weather in {city} {day}", "will it rain in {city} {day}"),
    "call": ("call {person}", "please call {person} {day}"),
    "play": ("play {genre} in the {room}", "I want to hear {genre}"),
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A command with its intent and slots."""

    text: str
    intent: str
    slots: dict[str, str]


def random_sentence(random: Random) -> Sentence:
    """Draws a command, with all intents equally likely."""
    intent = random.choice(tuple(TEMPLATES))
    template = random.choice(TEMPLATES[intent])
    slots = {n: random.choice(v) for n, v in SLOT_VALUES.items() if f"{{{n}}}" in template}
    return Sentence(template.format(**slots), intent, slots)
