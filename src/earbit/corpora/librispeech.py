"""LibriSpeech, for speech recognition and phoneme recognition.

Source: https://www.openslr.org/12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from earbit.corpora.lexicon import LEXICONS_ARE, pronunciations
from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import files_in, text_lines, wrong_line
from earbit.errors import DataError

SETS = {"train-clean-100": "train", "dev-clean": "valid", "test-clean": "test"}
"""The folders that SUPERB uses, and their splits."""
TEXTS = "*/*/*.trans.txt"


def _read_superb(root: Path) -> Iterator[LabelledClip | str]:
    """Reads the three folders of SUPERB; raises DataError if none exists."""
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
    from earbit.audio.manifest import split_or_none  # here, as the command line reads the table

    split_of = {name: split_or_none(name.partition("-")[0]) for name in _sets_in(root)}
    yield from _read_sets(root, split_of)


def _sets_in(root: Path) -> list[str]:
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    return [folder.name for folder in folders if files_in(folder, TEXTS)]


def _read_sets(root: Path, split_of: Mapping[str, str | None]) -> Iterator[LabelledClip | str]:
    phones_of = pronunciations(root)
    unknown: Counter[str] = Counter()
    for transcripts in (path for name in split_of for path in files_in(root / name, TEXTS)):
        split = split_of[transcripts.relative_to(root).parts[0]]
        for clip, text in _texts(transcripts):
            labels = {"split": split, "speaker": clip.partition("-")[0], "text": text}
            phones = [phone for word in text.split() for phone in phones_of.get(word, ())]
            unknown.update(word for word in text.split() if word not in phones_of)
            yield LabelledClip(
                id=clip,
                path=_audio_file(transcripts.parent, clip).relative_to(root),
                labels={**labels, "phones": phones or None},
            )
    if not phones_of:
        yield f"{root}: no {LEXICONS_ARE}, so clips have no `phones` and pr is not possible"
    elif unknown:
        first = ", ".join(sorted(unknown)[:5])
        yield f"{unknown.total():,} words without phones, not in the lexicon, the first: {first}"


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Id and text of every clip of a chapter."""
    chapter = path.name.removesuffix(".trans.txt")
    for number, line in text_lines(path):
        clip, _, text = line.partition(" ")
        if not clip.startswith(f"{chapter}-") or not text.strip():
            raise wrong_line(path, number, line, "SPEAKER-CHAPTER-NUMBER TEXT")
        yield clip, text.strip()


def _audio_file(folder: Path, clip: str) -> Path:
    """The file of a clip: flac as distributed, or a wav that was made from it."""
    wav = folder / f"{clip}.wav"
    return wav if wav.is_file() else folder / f"{clip}.flac"


LICENCE = "CC BY 4.0, https://www.openslr.org/12"
LIBRISPEECH = PublishedCorpus(
    name="librispeech",
    title="LibriSpeech",
    licence=f"{LICENCE}, the folders {', '.join(SETS)}",
    layout=(f"*/{TEXTS}",),
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
    layout=(f"*/{TEXTS}",),
    parts=(Part(tasks=("asr", "pr"), read=_read_all),),
)
