"""Voices and styles of the synthetic corpora."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice of espeak-ng with pitch, rate, level and room."""

    name: str
    voice: str
    gender: str
    pitch: int
    rate: int
    split: str


SPEAKERS = (
    Speaker("s01", "en-us", "m", 45, 160, "train"),
    Speaker("s02", "en-us+f2", "f", 60, 170, "train"),
    Speaker("s03", "en+m3", "m", 35, 150, "train"),
    Speaker("s04", "en+f4", "f", 55, 165, "train"),
    Speaker("s05", "en-gb-scotland+m1", "m", 50, 155, "train"),
    Speaker("s06", "en-gb-x-rp+f1", "f", 65, 160, "train"),
    Speaker("s07", "en-us+m4", "m", 40, 175, "train"),
    Speaker("s08", "en-us+f3", "f", 50, 150, "train"),
    Speaker("s09", "en-gb-x-gbclan+m2", "m", 55, 165, "train"),
    Speaker("s10", "en-029+f2", "f", 70, 160, "train"),
    Speaker("s11", "en-gb-x-gbcwmd+m5", "m", 45, 160, "valid"),
    Speaker("s12", "en-us+f5", "f", 60, 160, "valid"),
    Speaker("s13", "en-gb-x-rp+m7", "m", 38, 150, "valid"),
    Speaker("s14", "en+f1", "f", 58, 172, "test"),
    Speaker("s15", "en-us+m6", "m", 48, 158, "test"),
    Speaker("s16", "en-gb-scotland+f3", "f", 62, 163, "test"),
)

STYLES = {
    # emotion: (rate factor, pitch step, pitch range, volume)
    "neutral": (1.0, 0, 50, 90),
    "happy": (1.1, 12, 85, 100),
    "sad": (0.82, -10, 20, 70),
    "angry": (1.2, 6, 65, 120),
}

VARIANTS = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo",
    "Jacky", "Lee", "Marco", "Michael", "Mike", "Reed", "Storm", "adam", "anika", "antonio",
    "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "grandma", "grandpa",
    "gustave", "ian", "john", "linda", "max", "miguel", "pablo", "quincy", "robert", "steph",
)  # fmt: skip
"""Variants of voices that differ in their formants."""


def many_speakers() -> tuple[Speaker, ...]:
    """Forty speakers, one of each variant: 24 train, 8 valid, 8 test."""
    random = Random("speakers")
    accents = [speaker.voice.split("+")[0] for speaker in SPEAKERS]
    splits = ("train", "train", "train", "valid", "test")
    return tuple(
        Speaker(
            name=f"v{i + 1:02d}",
            voice=f"{random.choice(accents)}+{variant}",
            gender="f"
            if variant
            in (
                "Alicia",
                "Andrea",
                "Annie",
                "anika",
                "aunty",
                "belinda",
                "grandma",
                "linda",
                "steph",
            )
            else "m",
            pitch=random.randint(30, 70),
            rate=random.randint(145, 175),
            split=splits[i % len(splits)],
        )
        for i, variant in enumerate(VARIANTS)
    )
