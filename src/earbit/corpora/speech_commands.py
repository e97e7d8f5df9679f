"""Speech Commands, versions 0.01 and 0.02, for keyword spotting of twelve classes.

Source: arXiv 1804.03209; classes, splits and test set as in s3prl.  The archives extract into the
current folder, so each one needs a folder of its name.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import files_in
from earbit.errors import DataError

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE, NOISE = "_unknown_", "_silence_", "_background_noise_"
FILES = "*_nohash_*.wav"
CLIP_SAMPLES = 16_000
N_SECONDS_PER_VALID = 10
"""One in this many seconds of noise is a validation clip."""


def split_of(file_name: str) -> str:
    """train, valid or test, by the SHA-1 of the speaker.  Source: README of the corpus."""
    speaker = re.sub(r"_nohash_.*$", "", file_name)
    number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16)
    percent = number % 2**27 * 100 / (2**27 - 1)
    return "valid" if percent < 10 else "test" if percent < 20 else "train"


def _read(version: str, root: Path) -> Iterator[LabelledClip | str]:
    corpus = Path(f"speech_commands_{version}")
    test_set = Path(f"speech_commands_test_set_{version}")
    has_test_set = (root / test_set).is_dir()
    for path in files_in(root / corpus, f"*/{FILES}"):
        split = split_of(path.name)
        if path.parent.name != NOISE and not (has_test_set and split == "test"):
            yield _clip(path, root, corpus, split)
    yield from _noise(root, corpus, has_test_set)
    if has_test_set:
        for path in files_in(root / test_set, "*/*.wav"):
            yield _clip(path, root, Path(), "test")
        yield f"{corpus}: test clips by its hash are not used, {test_set} has those of SUPERB"
    else:
        yield (
            f"no {test_set}; test clips are those of {corpus} by its hash, and scores do not "
            f"compare with published ones: get {test_set}.tar.gz, {LICENCE}"
        )


def _clip(path: Path, root: Path, base: Path, split: str) -> LabelledClip:
    word = path.parent.name
    keyword = word if word in (*WORDS, SILENCE) else UNKNOWN
    speaker = re.search(r"([0-9a-z]+)_nohash_", path.name)
    labels = {"split": split, "keyword": keyword, "speaker": speaker and speaker[1]}
    name = path.relative_to(root / base).with_suffix("").as_posix()
    return LabelledClip(id=name, path=path.relative_to(root), labels=labels)


def _noise(root: Path, corpus: Path, has_test_set: bool) -> Iterator[LabelledClip]:
    """Every second of noise as a clip of the class `_silence_`."""
    from earbit.audio.decode import audio_info

    for path in files_in(root / corpus / NOISE, "*.wav"):
        name = f"{SILENCE}/{path.stem}"
        try:
            n_clips = audio_info(path).n_samples // CLIP_SAMPLES
        except DataError:  # listed as damaged when all files are decoded
            yield LabelledClip(id=name, path=path.relative_to(root), labels={"keyword": SILENCE})
            continue
        for i in range(n_clips):
            rest = i % N_SECONDS_PER_VALID
            split = "valid" if rest == 0 else "test" if rest == 1 and not has_test_set else "train"
            yield LabelledClip(
                id=f"{name}-{i:03d}",
                path=path.relative_to(root),
                labels={"split": split, "keyword": SILENCE},
                excerpt=(i * CLIP_SAMPLES, CLIP_SAMPLES),
            )


LICENCE = "CC BY 4.0, http://download.tensorflow.org/data/"


def _version(version: str, counts: dict[str, int]) -> PublishedCorpus:
    folder = f"speech_commands_{version}"
    return PublishedCorpus(
        name=folder.replace("_", "-"),
        title=f"Speech Commands {version}",
        licence=f"{LICENCE}{folder}.tar.gz and speech_commands_test_set_{version}.tar.gz",
        layout=(f"{folder}/*/{FILES}", f"{folder}/{NOISE}/*.wav"),
        parts=(Part(tasks=("ks",), read=functools.partial(_read, version), counts=counts),),
        notes=(
            "waveforms keep their level; s3prl lowers them by 3 dB",
            "silence: each second of the noise recordings is a clip, one in ten for validation; "
            "s3prl cuts at random, and takes the same recordings for training and validation",
        ),
    )


# Noise recordings count in both splits, as in s3prl.
V1 = _version("v0.01", {"train": 51_088 + 6, "valid": 6_798 + 6, "test": 3_081})
V2 = _version("v0.02", {"train": 84_843 + 6, "valid": 9_981 + 6, "test": 4_890})
