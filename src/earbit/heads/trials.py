"""Reads the trials of speaker verification that come with a corpus."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from earbit.audio.clips import path_of
from earbit.audio.corpus import Corpus
from earbit.audio.utf8 import read_utf8
from earbit.corpora.published import TRIALS_NAME
from earbit.errors import DataError
from earbit.heads.example import Trial
from earbit.progress import say


def trials_of(corpus: Corpus, with_speaker: set[str]) -> tuple[Trial, ...]:
    """Reads the trials of a corpus, and counts trials of quarantined clips, which are left out.

    Raises DataError for lines that are no trial, files that are not in the corpus or have no
    speaker, and trials that are all matches or all not.
    """
    path = corpus.root / TRIALS_NAME
    id_of = {_relative(corpus.root, cut): cut.id for cut in corpus.cuts}
    lost = {rejected.path for rejected in corpus.quarantine}
    trials, n_lost = [], 0
    for number, line in enumerate(read_utf8(path).decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        label, *files = line.split()
        if label not in ("0", "1") or len(files) != 2:
            raise DataError(
                f"{path}:{number}: {line[:60]!r}; expected `1 FILE FILE` or `0 FILE FILE`"
            )
        unknown = [file for file in files if file not in id_of]
        if unknown and lost.issuperset(unknown):
            n_lost += 1
            continue
        if unknown:
            raise DataError(
                f"{path}:{number}: {unknown[0]} is not in the corpus; add it to manifest.jsonl or "
                "remove the line"
            )
        first, second = (id_of[file] for file in files)
        if nameless := {first, second} - with_speaker:
            raise DataError(
                f"{path}:{number}: clip {min(nameless)!r} has no speaker; add it to manifest.jsonl "
                "or remove the line"
            )
        trials.append(Trial(first=first, second=second, is_match=label == "1"))
    if n_lost:
        say(f"{path}: {n_lost} trials of unusable files are left out")
    if len({trial.is_match for trial in trials}) < 2:
        raise DataError(f"{path}: {len(trials)} trials; needed are lines with 1 and lines with 0")
    return tuple(trials)


def digest_with_trials(corpus: Corpus, kind: str) -> str:
    """Digest of a corpus, and for kind `vector` of its trials, which its own does not cover."""
    path = corpus.root / TRIALS_NAME
    if kind != "vector" or not path.is_file():
        return corpus.digest
    return hashlib.sha256(corpus.digest.encode() + path.read_bytes()).hexdigest()


def _relative(root: Path, cut: Any) -> str:
    path = path_of(cut)
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
