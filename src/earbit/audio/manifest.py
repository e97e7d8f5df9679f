"""A corpus on disk: `manifest.jsonl` with one utterance per line, or just a folder of audio."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from earbit.audio.decode import SAMPLE_RATE_HZ, audio_info
from earbit.errors import DataError

MANIFEST_NAME = "manifest.jsonl"
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3"})


@dataclass(frozen=True, slots=True)
class Utterance:
    """One audio file and what is known of it."""

    id: str
    path: Path
    n_samples: int
    """At 16 kHz."""
    n_bytes: int
    labels: dict[str, Any] = field(default_factory=dict)
    """Fields of the manifest: text, speaker, phones, keyword, intent, slots, emotion, split, ..."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file, or a line of a manifest, that cannot be used, and why."""

    path: str
    reason: str


def read_manifest(root: Path) -> Iterator[Utterance | Rejected]:
    """The lines of `root/manifest.jsonl`; audio is not opened where the line says its length."""
    seen: set[str] = set()
    try:
        lines = (root / MANIFEST_NAME).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{root / MANIFEST_NAME}: cannot be read ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{MANIFEST_NAME}:{number}"
        try:
            yield _utterance(root, json.loads(line), seen)
        except DataError as error:
            yield Rejected(where, str(error))
        except ValueError as error:
            yield Rejected(where, f"not valid JSON: {error}")


def read_folder(root: Path) -> Iterator[Utterance | Rejected]:
    """All audio files below `root`, sorted; the id is the relative path without its suffix."""
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
    ids: dict[str, int] = {}
    for path in paths:
        relative = path.relative_to(root)
        name = relative.with_suffix("").as_posix()
        ids[name] = ids.get(name, 0) + 1
        # Two files that differ in the suffix alone keep it.
        name = name if ids[name] == 1 else relative.as_posix()
        try:
            info = audio_info(path)
            yield Utterance(name, path, info.n_samples, path.stat().st_size)
        except (DataError, OSError) as error:
            yield Rejected(relative.as_posix(), str(error))


def _utterance(root: Path, record: Any, seen: set[str]) -> Utterance:
    if not isinstance(record, dict):
        raise DataError("not a JSON object")
    name, relative = record.get("id"), record.get("path")
    if not isinstance(name, str) or not name or not isinstance(relative, str) or not relative:
        raise DataError("'id' and 'path' must be texts")
    if name in seen:
        raise DataError(f"id {name!r} is taken by an earlier line")
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts:
        raise DataError(f"path {relative!r} leaves the folder of the manifest")
    path = root / pure
    if not path.is_file():
        raise DataError(f"{relative}: no such file")
    n_bytes = path.stat().st_size
    n_samples, rate_hz = record.get("num_samples"), record.get("sample_rate")
    if type(n_samples) is not int or rate_hz != SAMPLE_RATE_HZ:
        n_samples = audio_info(path).n_samples
    elif record.get("bytes") not in (None, n_bytes):
        raise DataError(f"{relative}: {n_bytes} bytes, the manifest says {record['bytes']}")
    seen.add(name)
    known = {"id", "path", "num_samples", "sample_rate", "bytes", "duration"}
    labels = {key: value for key, value in record.items() if key not in known}
    return Utterance(name, path, n_samples, n_bytes, labels)
