"""`earbit prepare`: looks a corpus over before hours are spent on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from earbit.audio.corpus import Corpus, open_corpus, write_quarantine
from earbit.files import make_folder, write_json

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


def prepare(where: str, out_dir: Path) -> dict[str, Any]:
    """Writes manifest.json and quarantine.jsonl to `out_dir`; returns the former.

    It says what the corpus holds, which labels how many utterances have, and which SUPERB tasks
    those labels serve.  Raises DataError when nothing can be used.
    """
    make_folder(out_dir)
    corpus = open_corpus(where)
    write_quarantine(corpus, out_dir)
    report = look_over(corpus)
    write_json(out_dir / "manifest.json", report)
    return report


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
