"""VoxCeleb1: interviews of 1,251 speakers, for speaker identification and verification.

Source: Nagrani et al. 2017; splits and trials as in SUPERB, arXiv 2105.01051.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus, Trial
from earbit.corpora.text_lines import files_in, text_lines, trial_lines, wrong_line
from earbit.errors import DataError

PAGE = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html"
SPLIT_LISTS = ("iden_split.txt", "veri_test_class.txt")
"""File names of the split list in the corpus and in s3prl."""
TRIAL_LISTS = ("voxceleb1_test_v2.txt", "veri_test2.txt", "veri_test.txt")
"""File names of the trial list in s3prl and in the corpus."""
SPLITS = {"1": "train", "2": "valid", "3": "test"}
FOLDERS = ("dev", "test")
FILE = re.compile(r"(id\d{5})/[^/\s]+/\d+\.wav")


def read_sid(root: Path) -> Iterator[LabelledClip | str]:
    """The files of the list of splits; every speaker is in all splits."""
    path = _first_of(root, SPLIT_LISTS)
    folder_of: dict[str, str] = {}
    for number, line in text_lines(path):
        split, _, file = line.strip().partition(" ")
        found = FILE.fullmatch(file.strip())
        if split not in SPLITS or found is None:
            raise wrong_line(path, number, line, "1, 2 or 3, and idXXXXX/VIDEO/NNNNN.wav")
        speaker = found[1]
        if speaker not in folder_of:
            folder_of[speaker] = _folder_of(root, speaker)
        yield _clip(folder_of[speaker], found[0], SPLITS[split])


def read_asv(root: Path) -> Iterator[LabelledClip | str]:
    """Reads all files: dev speakers for training, test speakers for the trials."""
    for folder, split in zip(FOLDERS, ("train", "test"), strict=True):
        for path in files_in(root / folder / "wav", "id*/*/*.wav"):
            yield _clip(folder, path.relative_to(root / folder / "wav").as_posix(), split)


def trials(root: Path) -> Iterator[Trial]:
    """Pairs of test files, with 1 for files of one speaker and 0 for others."""
    return trial_lines(_first_of(root, TRIAL_LISTS), FILE)


def _clip(folder: str, file: str, split: str) -> LabelledClip:
    return LabelledClip(
        id=file,
        path=Path(folder, "wav", file),
        labels={"speaker": file.partition("/")[0], "split": split},
    )


def _folder_of(root: Path, speaker: str) -> str:
    """`dev` or `test`; a speaker without files counts as one of dev."""
    return next((f for f in FOLDERS if (root / f / "wav" / speaker).is_dir()), FOLDERS[0])


def _first_of(root: Path, names: tuple[str, ...]) -> Path:
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found is None:
        raise DataError(f"{root}: no {' and no '.join(names)}; one of them is needed, see {PAGE}")
    return found


VOXCELEB1 = PublishedCorpus(
    name="voxceleb1",
    title="VoxCeleb1",
    licence=f"CC BY 4.0, with the copyright of the owners of the videos, by the form at {PAGE}",
    layout=("dev/wav", "test/wav"),
    parts=(
        Part(
            name="sid",
            tasks=("sid",),
            read=read_sid,
            counts={"train": 138_361, "valid": 6_904, "test": 8_251},
        ),
        Part(
            name="asv",
            tasks=("asv",),
            read=read_asv,
            counts={"train": 148_642, "test": 4_874},
            trials=trials,
        ),
    ),
    notes=(
        "asv: validation speakers are drawn from dev; s3prl has none and picks its checkpoint on "
        "the trials",
        "asv: waveforms are used as they are; s3prl lowers them by 3 dB, removes silence, and "
        "leaves out training clips that are then no longer than 2 s",
    ),
)
