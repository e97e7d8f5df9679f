"""Libri2Mix: mixtures of two speakers of LibriSpeech, for speaker diarization.

Source: Cosentino et al. 2020; folders in the form of Kaldi as in SUPERB, arXiv 2105.01051.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import text_lines, wrong_line
from earbit.errors import DataError

SPLITS = {"train": "train", "dev": "valid", "test": "test"}


def read(root: Path) -> Iterator[LabelledClip | str]:
    """Mixtures of wav.scp with their segments and speakers."""
    for folder, split in SPLITS.items():
        segments = _segments(root / folder)
        table = root / folder / "wav.scp"
        recordings = set()
        for number, line in text_lines(table):
            name, _, audio = line.strip().partition(" ")
            audio = audio.strip()
            if not audio or audio.endswith("|"):
                raise wrong_line(table, number, line, "RECORDING FILE, and no command")
            recordings.add(name)
            if name not in segments:
                raise DataError(f"{table}:{number}: {name} has no line in segments; make it again")
            labels = {"segments": sorted(segments[name]), "split": split}
            yield LabelledClip(id=f"{folder}/{name}", path=_below(root, audio), labels=labels)
        if unknown := sorted(set(segments) - recordings):
            raise DataError(
                f"{root / folder / 'segments'}: {unknown[0]} is not in wav.scp; make it again"
            )


def _segments(folder: Path) -> dict[str, list[tuple[float, float, str]]]:
    """(start_s, end_s, speaker) by recording."""
    speaker_of = {}
    for number, line in text_lines(folder / "utt2spk"):
        words = line.split()
        if len(words) != 2:
            raise wrong_line(folder / "utt2spk", number, line, "UTTERANCE SPEAKER")
        speaker_of[words[0]] = words[1]
    found: dict[str, list[tuple[float, float, str]]] = {}
    path = folder / "segments"
    for number, line in text_lines(path):
        try:
            utterance, recording, start, end = line.split()
            start_s, end_s = float(start), float(end)
        except ValueError:
            raise wrong_line(path, number, line, "UTTERANCE RECORDING START END") from None
        if not 0 <= start_s < end_s < float("inf"):
            raise wrong_line(path, number, line, "0 <= START < END, in seconds")
        if utterance not in speaker_of:
            raise DataError(f"{path}:{number}: {utterance} is not in utt2spk; make it again")
        found.setdefault(recording, []).append((start_s, end_s, speaker_of[utterance]))
    return found


def _below(root: Path, audio: str) -> Path:
    """Resolves a path that may have been written on another machine, relative to `root`.

    The longest end of the path that exists below `root`; without any, the whole path.
    """
    parts = PurePosixPath(audio).parts
    parts = parts[1:] if parts[0] == "/" else parts
    ends = (Path(*parts[i:]) for i in range(len(parts)) if ".." not in parts[i:])
    return next((end for end in ends if (root / end).is_file()), Path(*parts))


LIBRI2MIX = PublishedCorpus(
    name="libri2mix",
    title="Libri2Mix",
    licence="CC BY 4.0, made from LibriSpeech and WHAM by https://github.com/s3prl/LibriMix",
    layout=tuple(
        f"{folder}/{name}" for folder in SPLITS for name in ("wav.scp", "segments", "utt2spk")
    ),
    parts=(
        Part(
            tasks=("sd",),
            read=read,
            counts={"train": 13_901, "valid": 3_014, "test": 3_002},
        ),
    ),
)
