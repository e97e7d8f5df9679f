"""`earbit prepare`: validates a corpus before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.clips import Clip, clip_of, path_of
from earbit.audio.corpus import (
    Corpus,
    for_each_waveform,
    open_corpus,
    say_ignored,
    write_quarantine,
)
from earbit.audio.corpus_names import MANIFEST_NAME, SYNTHETIC
from earbit.audio.folder import audio_folder
from earbit.audio.label_table import write_manifest
from earbit.audio.place import shown
from earbit.audio.quarantine import QUARANTINE_NAME
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.shard_folder import SHARDS, check_shard_size, refuse_shards, with_shards
from earbit.audio.silence import silence_in
from earbit.errors import ConfigError, DataError
from earbit.files import make_folder, refuse_other_files, writable, write_json
from earbit.progress import progress, say

REPORT_NAME = "manifest.json"
FILES = {REPORT_NAME, QUARANTINE_NAME, SHARDS}
"""Files that this command writes."""
UNSPLIT = "none"
"""Key of clips without a split in counts by split."""
SILENCE_PEAK = 1e-3
"""Peak of silence: 60 dB below full scale."""
SILENCE_SAMPLES = SAMPLE_RATE_HZ // 10
CLIPPED_PEAK = 0.9999
N_SAID = 10
"""Maximum number of silent files that are listed."""

Check = Callable[[Corpus], object]
"""Labels and splits of a corpus -> anything; raises DataError if a task cannot use them."""


def prepare(
    where: str,
    out_dir: Path,
    *,
    tasks: Mapping[str, Check],
    labels: Path | None = None,
    resplit: bool = False,
    shard_mb: float | None = None,
) -> dict[str, Any]:
    """Writes manifest.json and quarantine.jsonl to `out_dir` and returns the former.

    tasks: the check of each task.  labels: a table that is first converted to manifest.jsonl.
    resplit: checks what tasks can use without the `split` of the corpus.  shard_mb: also writes
    the usable files to shards of this size, see `with_shards`.
    Every file is decoded, one at a time, to find damaged and silent files.  The report has the
    contents of the corpus, the number of utterances with each label, and the tasks that can use
    labels and splits.  Raises DataError without usable files, and ConfigError if `out_dir` is the
    folder of the corpus or has other files, or shards that this command did not write.
    """
    check_shard_size(shard_mb)
    report_path = out_dir / REPORT_NAME
    if where != SYNTHETIC:
        _refuse_corpus_as_output(Path(where), out_dir)
    refuse_other_files(out_dir, FILES)
    if shard_mb is not None:
        refuse_shards(where, out_dir, REPORT_NAME)
    table = {}
    if labels is not None:
        table["label_table"] = write_manifest(Path(where), labels, report_path)
    corpus = open_corpus(where, resplit=resplit)
    make_folder(out_dir)
    corpus = replace(corpus, ignored=(*corpus.ignored, *_unlisted(corpus)))
    say_ignored(corpus)
    corpus, levels = decoded_levels(corpus, report_path)
    write_quarantine(corpus, out_dir)
    report: dict[str, Any] = writable({**look_over(corpus, tasks), **levels, **table})
    if shard_mb is not None:
        report |= with_shards(corpus, where, out_dir, shard_mb=shard_mb, resplit=resplit)
    write_json(report_path, report)
    return report


def decoded_levels(corpus: Corpus, report_path: Path) -> tuple[Corpus, dict[str, Any]]:
    """Decodes every file; returns the corpus without damaged files, and levels for the report.

    Prints silent files.  report_path: the file to which the caller writes the levels, for messages.
    """
    levels = _Levels({cut.id: clip_of(cut) for cut in corpus.cuts})
    with progress(f"decoding {corpus.name}", len(corpus.cuts)) as advance:
        corpus = for_each_waveform(corpus, levels.add, advance)
    levels.say_silent(report_path)
    return corpus, {
        "silence_s": round(levels.n_silent_samples / SAMPLE_RATE_HZ, 1),
        "silent_files": levels.silent_files,
        "n_clipped": levels.n_clipped,
    }


def render_prepared(report: Mapping[str, Any], out_dir: Path) -> str:
    """Short text of the report, for a terminal."""
    n_bad = report["n_quarantined"]
    lines = [
        f"{report['corpus']}: {report['n_utterances']} utterances, {report['hours']} hours, "
        f"{report['n_speakers'] or 'unknown'} speakers, "
        + (
            f"{n_bad} unusable files in {out_dir / QUARANTINE_NAME}"
            if n_bad
            else "all files usable"
        )
    ]
    for title in ("splits", "labels"):
        counts = (
            f"{n} {'without a split' if (title, name) == ('splits', UNSPLIT) else name}"
            for name, n in report[title].items()
        )
        lines.append(f"{title}: {', '.join(counts) or 'none'}")
    if shards := report.get("shards"):
        count = "1 shard" if shards["n_shards"] == 1 else f"{shards['n_shards']} shards"
        lines.append(f"{count} in {shards['folder']}, a corpus like any other")
    lines.append(f"tasks that can use it: {', '.join(report['tasks']) or 'none'}")
    if refused := report["tasks_without_labels"]:
        lines.append(f"others: {', '.join(refused)}; reasons in {out_dir / REPORT_NAME}")
    return "\n".join(lines)


def _refuse_corpus_as_output(root: Path, out_dir: Path) -> None:
    if out_dir.resolve() == root.resolve():
        raise ConfigError(
            f"--out {out_dir}: is the folder of the corpus, whose labels are in {MANIFEST_NAME}; "
            "give another folder as --out"
        )


def corpus_of(kind: str, root: Path | None, labels: Path | None = None) -> str:
    """The argument of `open_corpus`: 'synthetic', or `root` for the kind 'folder'.

    Raises ConfigError for a missing root, and a superfluous root or label table.
    """
    if kind == "folder" and root is None:
        raise ConfigError("prepare folder needs --root DIR, the folder of the audio")
    if kind == SYNTHETIC and root is not None:
        raise ConfigError(f"--root {root}: prepare synthetic takes none; earbit makes its audio")
    if kind == SYNTHETIC and labels is not None:
        raise ConfigError(f"--labels {labels}: prepare synthetic takes none; its clips have labels")
    return SYNTHETIC if root is None else str(root)


def _unlisted(corpus: Corpus) -> list[str]:
    """Note about audio files that are missing in a manifest."""
    if not (corpus.root / MANIFEST_NAME).is_file():
        return []
    named = {str(path_of(cut)) for cut in corpus.cuts}
    others = [path for path in audio_folder(corpus.root).files if str(path) not in named]
    if not others:
        return []
    count = f"{len(others)} audio file{'s' if len(others) > 1 else ''}"
    return [f"{corpus.root / MANIFEST_NAME}: no usable line for {count}, the first: {others[0]}"]


class _Levels:
    """Counts silence in steps of 0.1 s, and files with clipped peaks."""

    def __init__(self, clip_of: Mapping[str, Clip]) -> None:
        self.n_silent_samples = self.n_clipped = 0
        self.clip_of = clip_of
        self.silent_files: list[dict[str, str]] = []

    def add(self, cut_id: str, waveform: np.ndarray) -> None:
        size = np.abs(waveform)
        whole = size[: size.size // SILENCE_SAMPLES * SILENCE_SAMPLES]
        peaks = whole.reshape(-1, SILENCE_SAMPLES).max(axis=1)
        self.n_silent_samples += SILENCE_SAMPLES * int((peaks < SILENCE_PEAK).sum())
        # Unclipped sound reaches full scale for a single sample, clipped sound for several.
        is_full = size >= CLIPPED_PEAK
        self.n_clipped += bool((is_full[:-2] & is_full[1:-1] & is_full[2:]).any())
        clip = self.clip_of[cut_id]
        if (reason := silence_in(clip.path, waveform, clip.place)) is not None:
            self.silent_files.append({"path": str(shown(clip.path, clip.place)), "reason": reason})

    def say_silent(self, report_path: Path) -> None:
        """Prints a line for each silent file, or for the first of many."""
        for item in self.silent_files[:N_SAID]:
            say(f"{item['path']}: {item['reason']}")
        if (n_more := len(self.silent_files) - N_SAID) > 0:
            more = "1 more silent file" if n_more == 1 else f"{n_more} more silent files"
            say(f"{more}; see {report_path}")


def look_over(corpus: Corpus, tasks: Mapping[str, Check]) -> dict[str, Any]:
    """Counts, hours and labels of a corpus, and the tasks that can use its labels and splits."""
    splits: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    speakers = set()
    for cut in corpus.cuts:
        custom = cut.custom or {}
        splits[custom.get("split") or UNSPLIT] += 1
        labels.update(name for name, value in custom.items() if value and name != "split")
        for supervision in cut.supervisions:
            if supervision.speaker:
                speakers.add(supervision.speaker)
                labels["speaker"] += not custom.get("speaker")
            labels["phone_alignment"] += bool(supervision.alignment)
    refused = _refused(corpus, tasks)
    return {
        "corpus": corpus.name,
        "digest": corpus.digest,
        "n_utterances": len(corpus.cuts),
        "hours": round(sum(cut.duration for cut in corpus.cuts) / 3600, 3),
        "n_speakers": len(speakers),
        "n_quarantined": len(corpus.quarantine),
        "ignored": list(corpus.ignored),
        "splits": dict(sorted(splits.items())),
        "labels": {name: n for name, n in sorted(labels.items()) if n},
        "tasks": sorted(task for task in tasks if task not in refused),
        "tasks_without_labels": refused,
    }


def _refused(corpus: Corpus, tasks: Mapping[str, Check]) -> dict[str, str]:
    """The reason for each task that cannot use the labels or splits of a corpus."""
    reasons = {}
    for task, check in sorted(tasks.items()):
        try:
            check(corpus)
        except DataError as error:
            reasons[task] = str(error)
    return reasons
