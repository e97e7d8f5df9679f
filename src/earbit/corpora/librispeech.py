"""LibriSpeech, for speech recognition and phoneme recognition.

Source: https://www.openslr.org/12, lexicon of s3prl (s3prl/downstream/ctc/lexicon).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import text_lines, wrong_line
from earbit.errors import DataError

SETS = {"train-clean-100": "train", "dev-clean": "valid", "test-clean": "test"}
"""The folders that SUPERB uses, and their splits."""
TRANSCRIPTS = "*/*/*.trans.txt"
LEXICONS = (
    ("librispeech-lexicon-200k-g2p.txt", "librispeech-lexicon-allothers-g2p.txt"),
    ("librispeech-lexicon.txt",),
)
"""Lexica beside the sets: those of s3prl, else that of https://www.openslr.org/11."""


def _read_superb(root: Path) -> Iterator[LabelledClip | str]:
    """The clips of SUPERB; raises DataError if none of its three folders exists."""
    found = _sets_in(root)
    others = [name for name in found if name not in SETS]
    if not {*found} & {*SETS}:
        raise DataError(
            f"{root}: no {' and no '.join(SETS)}, it has {', '.join(others[:5])}; "
            "`earbit prepare librispeech-layout` reads any folders of this layout"
        )
    if others:
        yield (
            f"{', '.join(others)}: not read, SUPERB uses {', '.join(SETS)}; `earbit prepare "
            "librispeech-layout` reads all folders"
        )
    if missing := [name for name in SETS if name not in found]:
        yield (
            f"{root}: no {' and no '.join(missing)}; scores do not compare with published ones; "
            "`earbit superb --resplit` draws splits from the other folders"
        )
    yield from _read_sets(root, {name: SETS[name] for name in SETS if name in found})


def _read_all(root: Path) -> Iterator[LabelledClip | str]:
    """The clips of all folders; `train-`, `dev-` and `test-` in their names are splits."""
    from earbit.audio.manifest import SPLIT_NAMES

    split_of = {alias: split for split, names in SPLIT_NAMES.items() for alias in names}
    sets = {name: split_of.get(name.partition("-")[0].lower()) for name in _sets_in(root)}
    yield from _read_sets(root, sets)


def _sets_in(root: Path) -> list[str]:
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    return [folder.name for folder in folders if any(True for _ in folder.glob(TRANSCRIPTS))]


def _read_sets(
    root: Path, split_of_set: dict[str, str | None] | dict[str, str]
) -> Iterator[LabelledClip | str]:
    names = next((names for names in LEXICONS if all((root / n).is_file() for n in names)), ())
    phones_of = _lexicon(root / name for name in names)
    unknown: Counter[str] = Counter()
    for name, split in split_of_set.items():
        for path in sorted((root / name).glob(TRANSCRIPTS)):
            for number, line in text_lines(path):
                clip, _, text = line.partition(" ")
                if not clip.startswith(f"{path.name.removesuffix('.trans.txt')}-") or not text:
                    raise wrong_line(path, number, line, "SPEAKER-CHAPTER-NUMBER TEXT")
                labels = {"split": split, "speaker": clip.partition("-")[0], "text": text}
                if names:
                    words = text.split()
                    unknown.update(word for word in words if word not in phones_of)
                    phones = [phone for word in words for phone in phones_of.get(word, ())]
                    labels |= {"phones": phones} if phones else {}
                audio = _audio_file(path.parent, clip).relative_to(root)
                yield LabelledClip(id=clip, path=audio, labels=labels)
    if not names:
        yield (
            f"{root}: no {' and '.join(LEXICONS[0])} (of s3prl), nor {LEXICONS[1][0]} "
            "(https://www.openslr.org/11), so clips have no `phones` and pr is not possible"
        )
    if unknown:
        yield (
            f"{unknown.total():,} words are not in the lexicon and have no phones, the first: "
            f"{', '.join(sorted(unknown)[:5])}"
        )


def _audio_file(folder: Path, clip: str) -> Path:
    """The file of a clip: flac as distributed, or a wav that was made from it."""
    wav = folder / f"{clip}.wav"
    return wav if wav.is_file() else folder / f"{clip}.flac"


def _lexicon(paths: Iterable[Path]) -> dict[str, list[str]]:
    """The first pronunciation of every word."""
    phones_of: dict[str, list[str]] = {}
    for path in paths:
        for number, line in text_lines(path):
            word, *phones = line.split()
            if not phones:
                raise wrong_line(path, number, line, "WORD PHONE PHONE ...")
            phones_of.setdefault(word, phones)
    return phones_of


LICENCE = "CC BY 4.0, https://www.openslr.org/12"
LIBRISPEECH = PublishedCorpus(
    name="librispeech",
    title="LibriSpeech",
    licence=LICENCE,
    layout=(f"*/{TRANSCRIPTS}",),
    parts=(
        Part(
            tasks=("asr", "pr"),
            read=_read_superb,
            counts={"train": 28_539, "valid": 2_703, "test": 2_620},
        ),
    ),
)
LIBRISPEECH_LAYOUT = PublishedCorpus(
    name="librispeech-layout",
    title="folders in the layout of LibriSpeech",
    licence=LICENCE,
    layout=(f"*/{TRANSCRIPTS}",),
    parts=(Part(tasks=("asr", "pr"), read=_read_all),),
)
