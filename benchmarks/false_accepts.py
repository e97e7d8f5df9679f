"""False accepts per hour of a keyword program on audio without its keywords.

    python benchmarks/false_accepts.py PROGRAM AUDIO_DIR... [--clips CORPUS] [--window-s 1]
        [--hop-s 0.25] [--thresholds 0.5 0.9 0.99] [--ignore _unknown_ _silence_] [--json FILE]

A window slides over every file.  Windows of the same keyword in a row are one accept.  With
--clips, also the share of keywords in its test part that are found, and that are taken for another,
and for every class of SUPERB the share of its clips that have the highest score in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import report
from earbit.audio.corpus import load_waveform, open_corpus
from earbit.audio.decode import read_audio
from earbit.audio.formats import READ_SUFFIXES
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.runtime.likeliest import NONE
from earbit.runtime.session import Session
from earbit.superb.examples import task_splits
from earbit.superb.tasks import task_named


def accepts_of(
    session: Session, audio: np.ndarray, window: int, hop: int, thresholds: list[float]
) -> dict[float, list[str]]:
    """Accepted keywords of a file, one after the other, for each threshold."""
    assert session.labels is not None
    found: dict[float, list[str]] = {threshold: [] for threshold in thresholds}
    before: dict[float, str | None] = dict.fromkeys(thresholds)
    for start in range(0, max(1, len(audio) - window + 1), hop):
        scores = session.scores(audio[start : start + window]).astype(np.float64)
        shares = np.exp(scores - scores.max())
        best = int(scores.argmax())
        label, share = session.labels[best], float(shares[best] / shares.sum())
        for threshold in thresholds:
            accepted = label if share >= threshold else None
            if accepted is not None and accepted != before[threshold]:
                found[threshold].append(accepted)
            before[threshold] = accepted
    return found


def scored_clips(session: Session, corpus: str) -> list[tuple[str, np.ndarray]]:
    """Class and scores of every clip in the test part of a corpus."""
    opened = open_corpus(corpus)
    cuts = {cut.id: cut for cut in opened.cuts}
    return [
        (str(example.target), session.scores(load_waveform(cuts[example.id])).astype(np.float64))
        for example in task_splits(task_named("ks"), opened.cuts).test
    ]


def found_of(
    labels: Sequence[str],
    scored: list[tuple[str, np.ndarray]],
    thresholds: list[float],
    ignored: list[str],
) -> dict[float, dict[str, float]]:
    """Shares of the keywords among scored clips, for each threshold."""
    spoken = [(target, scores) for target, scores in scored if target not in ignored]
    likeliest: list[tuple[float, bool]] = []
    for target, scores in spoken:
        shares = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        label = labels[int(scores.argmax())]
        if label not in ignored:
            likeliest.append((float(shares.max()), label == target))
    return {
        threshold: {
            name: sum(p >= threshold and right is is_right for p, right in likeliest) / len(spoken)
            for name, is_right in (("found", True), ("wrong_keyword", False))
        }
        for threshold in thresholds
    }


def right_by_class(labels: Sequence[str], scored: list[tuple[str, np.ndarray]]) -> dict[str, float]:
    """Accuracy of each class among scored clips, without rejection."""
    classes = [label for label in labels if label != NONE]
    right: dict[str, list[bool]] = {}
    for target, scores in scored:
        is_right = classes[int(scores[: len(classes)].argmax())] == target
        right.setdefault(target, []).append(is_right)
    every = [is_right for of_class in right.values() for is_right in of_class]
    means = {label: float(np.mean(right[label])) for label in sorted(right)}
    return {"all": float(np.mean(every)), **means}


def is_audio(path: Path) -> bool:
    """Whether the name of a file is one of audio."""
    return path.suffix.lower().removeprefix(".") in {s.removeprefix(".") for s in READ_SUFFIXES}


def main() -> None:
    """Counts accepts over all files and prints them per hour."""
    parser = report.arguments(__doc__)
    parser.add_argument("program")
    parser.add_argument("audio", type=Path, nargs="+")
    parser.add_argument("--clips", help="corpus with keywords, whose test part is labelled")
    parser.add_argument("--window-s", type=float, default=1.0)
    parser.add_argument("--hop-s", type=float, default=0.25)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.0, 0.5, 0.9, 0.99])
    parser.add_argument("--ignore", nargs="*", default=["_unknown_", "_silence_", "_none_"])
    options = parser.parse_args()
    session = Session(options.program, options.threads)
    window, hop = (round(s * SAMPLE_RATE_HZ) for s in (options.window_s, options.hop_s))
    files = [p for d in options.audio for p in sorted(d.rglob("*")) if is_audio(p)]
    if not files:
        parser.error(f"no audio below {', '.join(map(str, options.audio))}")
    counts: dict[float, dict[str, int]] = {threshold: {} for threshold in options.thresholds}
    n_samples = 0
    for file in files:
        audio = read_audio(file)
        if len(audio) < window:
            audio = np.pad(audio, (0, window - len(audio)))
        n_samples += len(audio)
        for threshold, labels in accepts_of(
            session, audio, window, hop, options.thresholds
        ).items():
            for label in labels:
                if label not in options.ignore:
                    counts[threshold][label] = counts[threshold].get(label, 0) + 1
    hours = n_samples / SAMPLE_RATE_HZ / 3600
    found: dict[float, dict[str, float]] = {threshold: {} for threshold in options.thresholds}
    scored = scored_clips(session, options.clips) if options.clips else []
    assert session.labels is not None
    if scored:
        found = found_of(session.labels, scored, options.thresholds, options.ignore)
    rows: list[dict[str, Any]] = [
        {
            "threshold": threshold,
            **found[threshold],
            "accepts": sum(labels.values()),
            "per_hour": sum(labels.values()) / hours,
            "by_label": dict(sorted(labels.items(), key=lambda item: -item[1])),
        }
        for threshold, labels in counts.items()
    ]
    print(f"{hours:.2f} h of {len(files)} files, windows of {options.window_s} s")
    for row in rows:
        rate = f"{row['accepts']:6} accepts, {row['per_hour']:8.1f} per hour"
        shares = "".join(f", {100 * v:.1f} % {k}" for k, v in found[row["threshold"]].items())
        print(f"threshold {row['threshold']:<6} {rate}{shares}")
    if options.json:
        result = {
            "machine": report.machine(options.threads),
            "program": session.path.name,
            "hours": hours,
            "window_s": options.window_s,
            "hop_s": options.hop_s,
            "clips": options.clips and Path(options.clips).name,
            "audio": [path.name for path in options.audio],
            "rows": rows,
            "right_by_class": right_by_class(session.labels, scored) if scored else None,
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
