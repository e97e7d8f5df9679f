"""`earbit prepare`: looks a corpus over before hours are spent on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.corpus import (
    SYNTHETIC,
    Corpus,
    for_each_waveform,
    open_corpus,
    write_quarantine,
)
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError
from earbit.files import make_folder, write_json
from earbit.progress import progress

TASK_NEEDS = {
    "KS": "keyword",
    "IC": "intent",
    "SF": "slots",
    "ER": "emotion",
    "PR": "phones",
    "SD": "segments",
    "ASR": "text",
    "SID": "speaker",
    "ASV": "speaker",
}
"""The label that a SUPERB task is made from."""
SILENCE_PEAK = 1e-3
"""60 dB below full scale."""
SILENCE_SAMPLES = SAMPLE_RATE_HZ // 10
CLIPPED_PEAK = 0.9999


def prepare(where: str, out_dir: Path) -> dict[str, Any]:
    """Writes manifest.json and quarantine.jsonl to `out_dir`; returns the former.

    Every file is decoded, one at a time, to find those that are broken.  The report says what the
    corpus holds, which labels how many utterances have, and which SUPERB tasks those labels serve.
    Raises DataError when nothing can be used.
    """
    corpus = open_corpus(where)
    make_folder(out_dir)
    levels = _Levels()
    with progress(f"decoding {corpus.name}", len(corpus.cuts)) as advance:
        corpus = for_each_waveform(corpus, levels.add, advance)
    write_quarantine(corpus, out_dir)
    silence_s = round(levels.n_silent_samples / SAMPLE_RATE_HZ, 1)
    report = look_over(corpus) | {"silence_s": silence_s, "n_clipped": levels.n_clipped}
    write_json(out_dir / "manifest.json", report)
    return report


def corpus_of(kind: str, root: Path | None) -> str:
    """What `open_corpus` takes: 'synthetic', or `root` for the kind 'folder'.

    Raises ConfigError for another kind, a folder without its root, and a root too many.
    """
    if kind not in ("folder", SYNTHETIC):
        raise ConfigError(
            f"{kind!r} is no kind of corpus; write `prepare folder --root {kind}`, or "
            "`prepare synthetic`"
        )
    if kind == "folder" and root is None:
        raise ConfigError("prepare folder needs --root DIR, the folder of the audio")
    if kind == SYNTHETIC and root is not None:
        raise ConfigError(f"--root {root}: prepare synthetic takes none; earbit makes its audio")
    return SYNTHETIC if root is None else str(root)


class _Levels:
    """Counts samples of silence, a tenth of a second at a time, and files with cut-off peaks."""

    def __init__(self) -> None:
        self.n_silent_samples = self.n_clipped = 0

    def add(self, cut_id: str, waveform: np.ndarray) -> None:
        size = np.abs(waveform)
        whole = size[: size.size // SILENCE_SAMPLES * SILENCE_SAMPLES]
        peaks = whole.reshape(-1, SILENCE_SAMPLES).max(axis=1)
        self.n_silent_samples += SILENCE_SAMPLES * int((peaks < SILENCE_PEAK).sum())
        # A sound that just reaches full scale does so for a sample; one that is cut off stays.
        is_full = size >= CLIPPED_PEAK
        self.n_clipped += bool((is_full[:-2] & is_full[1:-1] & is_full[2:]).any())


def look_over(corpus: Corpus) -> dict[str, Any]:
    """Counts, hours and labels of a corpus, and the tasks that they serve or miss."""
    splits: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    speakers = set()
    for cut in corpus.cuts:
        custom = cut.custom or {}
        splits[custom.get("split") or "none"] += 1
        labels.update(name for name in set(TASK_NEEDS.values()) if custom.get(name))
        for supervision in cut.supervisions:
            if supervision.speaker:
                speakers.add(supervision.speaker)
                labels["speaker"] += not custom.get("speaker")
    return {
        "corpus": corpus.name,
        "digest": corpus.digest,
        "n_utterances": len(corpus.cuts),
        "hours": round(sum(cut.duration for cut in corpus.cuts) / 3600, 3),
        "n_speakers": len(speakers),
        "n_quarantined": len(corpus.quarantine),
        "splits": dict(sorted(splits.items())),
        "labels": dict(sorted(labels.items())),
        "tasks": sorted(task for task, need in TASK_NEEDS.items() if labels[need]),
        "tasks_without_labels": {
            task: f"no utterance has {need!r}"
            for task, need in sorted(TASK_NEEDS.items())
            if not labels[need]
        },
    }
