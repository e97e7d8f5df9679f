"""Utterances and speakers of the synthetic corpora."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.synthetic.espeak import Espeak
from earbit.audio.synthetic.grammar import (
    KEYWORDS,
    OTHER_WORDS,
    SLOT_VALUES,
    UNKNOWN,
    random_sentence,
)
from earbit.audio.synthetic.speakers import SPEAKERS, STYLES, Speaker, many_speakers
from earbit.audio.synthetic.speech import in_a_room, utterance, write_clip, write_utterance

Contents = Literal["clips", "voices", "queries", "mixtures"]
Line = dict[str, Any]
SENTENCES_PER_VOICE = 10
DOCUMENTS_PER_SPEAKER = 10
QUERY_WORDS = tuple(
    word for slot in ("room", "device", "drink", "city", "genre") for word in SLOT_VALUES[slot]
    if " " not in word
)  # fmt: skip
"""Words of sentences that are spoken as queries."""
MIXTURES = {"train": 60, "valid": 16, "test": 16}
TURNS = 4
"""Sentences in a mixture of two speakers."""
GAP_S = (-0.8, 0.6)
"""Range of the pause between two sentences; they overlap where it is negative."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticConfig:
    """Contents of a corpus; `clips` has 16 speakers x (sentences + keywords + other words)."""

    contents: Contents = "clips"
    seed: int = 0
    sentences_per_speaker: int = 38
    clips_per_keyword: int = 5
    other_word_clips: int = 12

    @property
    def n_clips(self) -> int:
        """Number of clips of the corpus."""
        n_speakers = {split: sum(s.split == split for s in SPEAKERS) for split in MIXTURES}
        n_words = self.clips_per_keyword * len(KEYWORDS) + self.other_word_clips
        return {
            "clips": len(SPEAKERS) * (self.sentences_per_speaker + n_words),
            "voices": len(many_speakers()) * SENTENCES_PER_VOICE,
            "queries": n_speakers["train"] * DOCUMENTS_PER_SPEAKER
            + (n_speakers["valid"] + n_speakers["test"]) * len(QUERY_WORDS),
            "mixtures": sum(MIXTURES.values()),
        }[self.contents]


def lines_of(config: SyntheticConfig, engine: Espeak, folder: Path) -> Iterator[Line]:
    """Writes the clips of a corpus one by one and yields their lines of the manifest."""
    yield from _CONTENTS[config.contents](config, engine, folder)


def _clips(config: SyntheticConfig, engine: Espeak, folder: Path) -> Iterator[Line]:
    for speaker in SPEAKERS:
        random = Random(f"{config.seed} {speaker.name}")
        for number, (style, labels) in enumerate(_utterances(config, random)):
            name = f"{speaker.name}-{number:04d}"
            yield write_utterance(engine, folder, speaker, name, style, labels, random)


def _utterances(config: SyntheticConfig, random: Random) -> Iterator[tuple[str, Line]]:
    """Utterances of one speaker as (style, labels)."""
    for i in range(config.sentences_per_speaker):
        yield tuple(STYLES)[i % len(STYLES)], _command(random)
    for _ in range(config.clips_per_keyword):
        for word in KEYWORDS:
            yield random.choice(tuple(STYLES)), {"text": word, "keyword": word}
    for _ in range(config.other_word_clips):
        labels = {"text": random.choice(OTHER_WORDS), "keyword": UNKNOWN}
        yield random.choice(tuple(STYLES)), labels


def _command(random: Random) -> Line:
    sentence = random_sentence(random)
    return {"text": sentence.text, "intent": sentence.intent, "slots": sentence.slots}


def _voices(config: SyntheticConfig, engine: Espeak, folder: Path) -> Iterator[Line]:
    """Sentences of many speakers, for speaker verification."""
    for speaker in many_speakers():
        random = Random(f"{config.seed} {speaker.name}")
        for number in range(SENTENCES_PER_VOICE):
            name = f"{speaker.name}-{number:04d}"
            labels = _command(random)
            yield write_utterance(engine, folder, speaker, name, "neutral", labels, random)


def _queries(config: SyntheticConfig, engine: Espeak, folder: Path) -> Iterator[Line]:
    """Sentences of the training speakers, and single words of the others that occur in them."""
    for speaker in SPEAKERS:
        random = Random(f"{config.seed} query {speaker.name}")
        if speaker.split == "train":
            texts = [random_sentence(random).text for _ in range(DOCUMENTS_PER_SPEAKER)]
            labels: list[Line] = [{"text": text} for text in texts]
        else:
            labels = [{"text": word, "query": word} for word in QUERY_WORDS]
        for number, of_clip in enumerate(labels):
            name = f"{speaker.name}-{number:04d}"
            yield write_utterance(engine, folder, speaker, name, "neutral", of_clip, random)


def _mixtures(config: SyntheticConfig, engine: Espeak, folder: Path) -> Iterator[Line]:
    """Two speakers who take turns and overlap."""
    for split, n_mixtures in MIXTURES.items():
        speakers = [speaker for speaker in many_speakers() if speaker.split == split]
        for number in range(n_mixtures):
            name = f"{split}-{number:04d}"
            random = Random(f"{config.seed} {name}")
            audio, segments = _turns(engine, random.sample(speakers, 2), random)
            labels = {"lang": "en", "split": split, "segments": segments}
            yield write_clip(folder, split, name, in_a_room(audio, random), labels)


def _turns(
    engine: Espeak, pair: list[Speaker], random: Random
) -> tuple[np.ndarray, list[tuple[float, float, str]]]:
    """Sentences of two speakers in turn, mixed, and the segments [start_s, end_s, speaker]."""
    audio = np.zeros(0, np.float32)
    segments: list[tuple[float, float, str]] = []
    for turn in range(TURNS):
        speaker = pair[turn % 2]
        spoken = utterance(engine, speaker, random_sentence(random).text, "neutral", random).audio
        start = max(0, len(audio) + round(random.uniform(*GAP_S) * SAMPLE_RATE_HZ))
        if turn > 1:  # a speaker does not overlap with themselves
            start = max(start, round(segments[turn - 2][1] * SAMPLE_RATE_HZ))
        audio = np.pad(audio, (0, max(0, start + len(spoken) - len(audio))))
        audio[start : start + len(spoken)] += spoken
        start_s, end_s = (n / SAMPLE_RATE_HZ for n in (start, start + len(spoken)))
        segments.append((round(start_s, 3), round(end_s, 3), speaker.name))
    return audio, segments


_CONTENTS: Mapping[str, Callable[[SyntheticConfig, Espeak, Path], Iterator[Line]]] = {
    "clips": _clips,
    "voices": _voices,
    "queries": _queries,
    "mixtures": _mixtures,
}
