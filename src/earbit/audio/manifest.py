"""Reads a corpus on disk: `manifest.jsonl` with one utterance per line, or a folder of audio."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from earbit.audio.corpus_names import MANIFEST_NAME
from earbit.audio.decode import audio_info
from earbit.audio.folder import AudioFolder
from earbit.audio.names_seen import NamesSeen
from earbit.audio.place import WHOLE, Place, shown
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.utf8 import utf8_lines
from earbit.errors import DataError
from earbit.files import ESCAPED_BYTE, name_of, path_named, writable
from earbit.frames import MIN_TRAINING_FRAMES, n_samples_of

MAX_SAMPLES = 2**53
"""Largest count that a float represents exactly."""
MIN_CLAIMED_SAMPLES = n_samples_of(MIN_TRAINING_FRAMES)
"""A smaller `num_samples` excludes a clip before it is decoded, so the header is read too."""
MAX_TIME_S = 1e9
"""Maximum start and duration of a phone: thirty years."""
SPLIT_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The splits, and their names in other corpora."""
SURROGATE = re.compile("[\ud800-\udfff]")
TEXT_LABELS = ("text", "keyword", "lang", "gender")
NAME_LABELS = ("speaker", "pseudo_speaker")
"""Labels that may also be numbers."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One audio file and its labels."""

    id: str
    path: Path
    n_samples: int
    """Length at 16 kHz."""
    n_bytes: int
    """Size of the file, or of the member of an archive."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Fields of the manifest: text, speaker, phones, keyword, intent, slots, emotion, split, ...

    `split` is train, valid, test or missing.
    """
    place: Place = WHOLE
    """Part of the file."""

    @property
    def shown(self) -> Path:
        """The file for messages."""
        return shown(self.path, self.place)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An unusable file or line of a manifest, and the reason."""

    path: str
    reason: str


def read_manifest(root: Path) -> Iterator[Utterance | Rejected]:
    """Reads `root/manifest.jsonl`, and opens audio only for lines without a length.

    Raises DataError for a file that is not UTF-8, and for a path outside of the folder, which makes
    a manifest untrustworthy.
    """
    seen = NamesSeen()
    # Read as bytes: damaged text affects only its own line, and only \n ends a line.
    for number, line in enumerate(utf8_lines(root / MANIFEST_NAME), start=1):
        if not line.strip():
            continue
        where = f"{MANIFEST_NAME}:{number}"
        try:
            record = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            yield Rejected(where, f"not valid JSON: {error}")
            continue
        if isinstance(record, dict) and isinstance(record.get("path"), str):
            check_stays_inside(where, record["path"])
        try:
            yield _utterance(root, record, seen)
        except (DataError, OSError) as error:
            yield Rejected(where, str(error))


def read_folder(folder: AudioFolder) -> Iterator[Utterance | Rejected]:
    """Lists the audio files of a folder; ids are relative paths without suffix."""
    seen = NamesSeen()
    for path in folder.files:
        relative = path.relative_to(folder.root)
        name = name_of(relative.with_suffix(""))
        if name in seen:
            # Of two files that differ only in the suffix, the second keeps it in its id.
            name = name_of(relative)
        try:
            if name in seen:
                raise DataError(f"{path}: another file has the id {name!r}; rename one of them")
            seen.add(name)
            info = audio_info(path)
            yield Utterance(name, path, info.n_samples, path.stat().st_size)
        except (DataError, OSError) as error:
            yield Rejected(name_of(relative), str(error))


def check_stays_inside(where: str, path: str) -> None:
    """Raises DataError for a path that is absolute or has `..`, in the notation of any system."""
    if not path.startswith("/") and not any(part in path for part in ("..", "\\", ":")):
        return  # the usual case, without parsing
    # The bytes of a name, `\xff`, are no folders of Windows.
    windows = ESCAPED_BYTE.sub(b"?", path.encode("utf-8", "replace")).decode()
    for pure in (PurePosixPath(path), PureWindowsPath(windows)):
        if pure.is_absolute() or pure.drive or pure.root or ".." in pure.parts:
            raise DataError(
                f"{where}: path {path!r} leaves the folder of the manifest; "
                "only relative paths without '..' are allowed"
            )


def _utterance(root: Path, record: Any, seen: NamesSeen) -> Utterance:
    if not isinstance(record, dict):
        raise DataError("not a JSON object")
    relative = writable(_text_of(record, "path"))
    name = _text_of({"id": relative, **record}, "id")
    check_id(name)
    if name in seen:
        raise DataError(f"id {name!r} is taken by an earlier line")
    path = path_named(root, relative)
    n_bytes = _size_of(path, relative)
    if not n_bytes:
        raise DataError(f"{relative}: an empty file")
    n_samples, rate_hz = record.get("num_samples"), record.get("sample_rate")
    if type(n_samples) is not int or rate_hz != SAMPLE_RATE_HZ:
        n_samples = audio_info(path).n_samples
    elif record.get("bytes") not in (None, n_bytes):
        raise DataError(
            f"{relative}: `bytes` is {record['bytes']!r}, the file has {n_bytes}; write {n_bytes}, "
            "or leave the field out"
        )
    elif not MIN_CLAIMED_SAMPLES <= n_samples <= MAX_SAMPLES:
        check_n_samples(relative, n_samples, audio_info(path).n_samples)
    known = {"id", "path", "num_samples", "sample_rate", "bytes", "duration"}
    labels = checked_labels({key: value for key, value in record.items() if key not in known})
    seen.add(name)
    return Utterance(name, path, n_samples, n_bytes, labels)


def _size_of(path: Path, relative: str) -> int:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise DataError(f"{relative}: no such file")
    return status.st_size


def check_id(name: Any) -> None:
    """Raises DataError for an id that is not text or has a zero byte."""
    _check_is_text("id", name)
    if "\0" in name:
        raise DataError(f"id {name[:80]!r} has a zero byte; leave it out")


def check_n_samples(name: str, claimed: int, found: int) -> None:
    """Raises DataError if `num_samples` of a manifest is not the length of the audio at 16 kHz."""
    if claimed != found:
        # Numbers with hundreds of digits are not printed.
        shown = claimed if abs(claimed) <= MAX_SAMPLES else f"above {MAX_SAMPLES}"
        raise DataError(
            f"{name}: `num_samples` is {shown}, the file has {found} samples at 16 kHz; write "
            f"{found}, or leave the field out"
        )


def _text_of(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if isinstance(value, str) and value:
        return value
    found = f"is {json.dumps(value)[:80]}" if key in record else "is missing"
    raise DataError(f"{key!r} {found}; it must be a text (docs/corpus.md)")


def checked_labels(labels: dict[str, Any]) -> dict[str, Any]:
    """Labels with the split by its name in earbit; raises DataError for one of a wrong type."""
    for key in (*TEXT_LABELS, *NAME_LABELS, "split"):
        value = labels.get(key)
        if value is None or (key in NAME_LABELS and type(value) is int):
            continue
        _check_is_text(key, value)
    alignment = labels.get("phone_alignment")
    if alignment is not None and not _is_alignment(alignment):
        raise DataError("phone_alignment is not a list of [phone, start_s, duration_s]")
    split = labels.pop("split", None)
    return {**labels, "split": split_named(split)} if split else labels


def split_named(name: str) -> str:
    """Maps a name in SPLIT_NAMES to train, valid or test; raises DataError for other names."""
    split = split_or_none(name)
    if split is not None:
        return split
    allowed = ", ".join(other for names in SPLIT_NAMES.values() for other in names)
    raise DataError(f"split {name!r}; allowed are {allowed}, or none at all")


def split_or_none(name: str) -> str | None:
    """Maps a name in SPLIT_NAMES to train, valid or test, and any other name to None."""
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def _check_is_text(what: str, value: Any) -> None:
    """Raises DataError for a value that is not text or has unpaired surrogates."""
    if not isinstance(value, str) or SURROGATE.search(value):
        raise DataError(f"{what} is {ascii(value)[:80]}; it must be a text, in UTF-8")


def _is_alignment(items: Any) -> bool:
    """Whether `items` are phones with a start and a duration in seconds, as numbers from 0 up."""
    return isinstance(items, list) and all(
        isinstance(item, list)
        and len(item) == 3
        and isinstance(item[0], str)
        and all(type(t) in (int, float) and 0 <= t < MAX_TIME_S for t in item[1:])
        for item in items
    )
