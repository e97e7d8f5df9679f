"""Audio SNIPS, for slot filling: spoken commands of synthetic voices, with slots.

Source: arXiv 1805.10190 (texts), and the audio of https://github.com/aws-samples/
aws-lex-noisy-spoken-language-understanding; layout, speakers and normalisation as in s3prl.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import text_lines, wrong_line

TEXTS, SLOTS = "all.iob.snips.txt", "slots.txt"
SPEAKERS = {
    "train": ["Ivy", "Joanna", "Joey", "Justin", "Kendra", "Kimberly", "Matthew", "Salli"],
    "valid": ["Aditi", "Amy", "Geraint", "Nicole"],
    "test": ["Brian", "Emma", "Raveena", "Russell"],
}
NO_SLOT = "O"
PUNCTUATION = frozenset("?!.,;-") | {""}
FORM = "`SPEAKER-snips-SPLIT-NUMBER BOS WORDS EOS`, a tab, and `O`, a slot per word, an intent"


def _read(root: Path) -> Iterator[LabelledClip | str]:
    slots = {line.strip() for _, line in text_lines(root / SLOTS)} | {NO_SLOT}
    path = root / TEXTS
    uneven: list[int] = []
    for number, line in text_lines(path):
        spoken, _, marked = line.strip().partition("\t")
        # Words may be empty: a space more still has a slot of its own.
        name, *words = spoken.split(" ")
        tags = marked.split(" ")
        speaker, _, split, *_ = (*name.split("-"), "", "", "")
        if [*words[:1], *words[-1:]] != ["BOS", "EOS"] or len(tags) < 2:
            raise wrong_line(path, number, line, FORM)
        uneven += [number] if len(words) != len(tags) else []
        if split not in SPEAKERS:
            raise wrong_line(path, number, line, f"a split among {', '.join(SPEAKERS)}")
        if unknown := sorted({*tags[1:-1]} - slots):
            raise wrong_line(path, number, line, f"slots of {SLOTS}, which has no {unknown[0]}")
        if speaker in SPEAKERS[split]:
            text, pairs = _with_slots(words[1:-1], tags[1:-1])
            labels = {"split": split, "speaker": speaker, "text": text, "slots": pairs}
            audio = Path(split) / f"{name}.wav"
            if not (root / audio).is_file() and (root / audio).with_suffix(".mp3").is_file():
                audio = audio.with_suffix(".mp3")
            yield LabelledClip(id=name, path=audio, labels=labels)
    if uneven:
        yield (
            f"{path}: {len(uneven):,} lines have not one slot per word, the first is line "
            f"{uneven[0]}; they are read up to the shorter end, as in s3prl"
        )


def _with_slots(words: Sequence[str], tags: Sequence[str]) -> tuple[str, list[list[Any]]]:
    """Text without punctuation, and a [slot, value, index of the first word] for every slot.

    As in s3prl, words in a row with one tag are one value: tags mark no beginnings.
    """
    kept = [
        ("AND" if word == "&" else word, tag)
        for word, tag in zip(words, tags, strict=False)
        if word not in PUNCTUATION
    ]
    slots: list[list[Any]] = []
    before = NO_SLOT
    for i, (word, tag) in enumerate(kept):
        if tag != NO_SLOT and tag == before:
            slots[-1][1] += f" {word}"
        elif tag != NO_SLOT:
            slots.append([tag, word, i])
        before = tag
    return " ".join(word for word, _ in kept), slots


AUDIO_SNIPS = PublishedCorpus(
    name="audio-snips",
    title="Audio SNIPS",
    licence=(
        "texts CC0, audio for research, made with preprocess/snips_prepare_data.sh of s3prl from "
        "https://github.com/aws-samples/aws-lex-noisy-spoken-language-understanding"
    ),
    layout=(TEXTS, SLOTS, *SPEAKERS),
    parts=(
        Part(
            tasks=("sf",),
            read=_read,
            counts={"train": 8 * 13_084, "valid": 4 * 700, "test": 4 * 700},
        ),
    ),
)
