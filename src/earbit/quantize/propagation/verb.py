"""Command `earbit propagation`: measures the propagation of quantization errors in models."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.clips import clip_of, read_clip
from earbit.audio.corpus import open_corpus, say_ignored
from earbit.audio.corpus_names import SYNTHETIC
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError, DataError, require_range
from earbit.extras import imported
from earbit.files import make_folder, none_left_empty, write_json
from earbit.frames import MIN_SAMPLES
from earbit.progress import say
from earbit.quantize.propagation.figure import write_figure
from earbit.quantize.propagation.measure import measure
from earbit.quantize.propagation.report import render, to_json
from earbit.quantize.propagation.subjects import opened, pairs_of
from earbit.quantize.student import noise_clips

MAX_CLIPS = 1024
MAX_SECONDS = 60.0
RESULT_NAME = "propagation.json"
FIGURE_NAMES = ("propagation.svg", "propagation.png")


def errors_of_models(
    models: Sequence[str],
    *,
    plan: str | None = None,
    teachers: Sequence[str] = (),
    corpus: str | None = None,
    is_noise: bool = False,
    n_clips: int = 8,
    seconds: float = 4.0,
    settings: Sequence[str] = (),
    seed: int = 0,
    out_dir: Path | None = None,
) -> tuple[str, dict[str, Any]]:
    """Measures the errors of models and compares encoders; returns text tables and JSON values.

    models: presets (random weights from the seed) or full-precision models, quantized under `plan`
    (default `w1a1`), or quantized models, each with its full-precision model in `teachers`.
    corpus: default `synthetic`.  is_noise: uses seeded noise instead of a corpus.  n_clips: number
    of clips to compare, and of further clips to calibrate scales.  seconds: length of each clip,
    from its start.  settings: `path=value` for presets.  out_dir: folder for propagation.json and
    the figure.  Raises ConfigError for conflicting arguments, and the errors of opening models,
    plans and corpora.
    """
    require_range(1, MAX_CLIPS + 1, clips=n_clips)
    least = MIN_SAMPLES / SAMPLE_RATE_HZ
    if not least <= seconds <= MAX_SECONDS:
        raise ConfigError(f"seconds={seconds}; give {least:g} (one frame) to {MAX_SECONDS:g}")
    if is_noise and corpus is not None:
        raise ConfigError(f"--noise and --corpus {corpus}; give one of them")
    subjects = opened(models, plan, teachers, settings, seed)
    compared = {subjects[i].name for pair in pairs_of(subjects) for i in pair}
    left = [one for one in subjects if one.name not in compared]
    if len(subjects) > 1 and left:
        shapes = ", ".join("{} ({} x {})".format(one.name, *one.shape) for one in left)
        say(
            f"not compared: {shapes}; give a mixed encoder and an attention-only one of equal "
            "layers x width (--set encoder.n_layers=N encoder.d_model=D) and plan"
        )
    with nullcontext() if out_dir is None else none_left_empty(out_dir):
        if out_dir is not None:
            imported("matplotlib", "report", "a figure")
            make_folder(out_dir)
        where = "noise" if is_noise else corpus or SYNTHETIC
        n_samples = round(seconds * SAMPLE_RATE_HZ)
        both = (
            noise_clips(seed, 2 * n_clips, n_samples)
            if is_noise
            else _corpus_clips(where, seed, 2 * n_clips, n_samples)
        )
        # A corpus with too few clips for both calibrates on the compared clips.
        clips, others = both[:n_clips], both[n_clips:] or both
        calibrates = any(one.trained is None for one in subjects)
        _say_too_few(where, n_clips, len(both), calibrates)
        measured = []
        for one in subjects:
            title, student = f"errors of {one.name}", one.student(others)
            measured.append((one, measure(one.teacher, student, clips, seed=seed, title=title)))
        total_s = sum(clip.size for clip in clips) / SAMPLE_RATE_HZ
        audio = {
            "audio": where,
            "clips": len(clips),
            "clips_asked": n_clips,
            "calibration": {"clips": len(others), "on_measured_clips": others is both}
            if calibrates
            else None,
            "seconds": total_s,
            "seed": seed,
        }
        text, result = render(measured, audio), to_json(measured, audio)
        if out_dir is not None:
            write_json(out_dir / RESULT_NAME, result)
            for name in FIGURE_NAMES:
                write_figure(measured, out_dir / name)
            text += f"\n{out_dir}: {', '.join((RESULT_NAME, *FIGURE_NAMES))}"
    return text, result


def _say_too_few(where: str, n_clips: int, n_found: int, calibrates: bool) -> None:
    """Reports clips that are missing, and what calibration uses instead."""
    if n_found < n_clips:
        say(f"{where}: {n_found} usable clips, --clips {n_clips}; measures on {n_found}")
    if not calibrates or n_found >= 2 * n_clips:
        return
    if n_found > n_clips:
        say(
            f"{where}: {n_found} usable clips, {2 * n_clips} needed to measure and calibrate on "
            f"{n_clips} each; calibrates on {n_found - n_clips}"
        )
    else:
        say(
            f"{where}: no clip is left for calibration; calibrates on the measured clips, so their "
            "errors are smaller than those of other clips; give a larger corpus or fewer --clips"
        )


def _corpus_clips(where: str, seed: int, n_clips: int, n_samples: int) -> list[np.ndarray]:
    """Draws clips from a corpus by the seed; reports files that cannot be decoded."""
    corpus = open_corpus(where)
    say_ignored(corpus)
    cuts = sorted(corpus.cuts, key=lambda cut: cut.id)
    random.Random(seed).shuffle(cuts)
    clips: list[np.ndarray] = []
    for cut in cuts:
        try:
            clips.append(read_clip(clip_of(cut), 0, n_samples))
        except DataError as error:
            say(f"left out: {error}")
        if len(clips) == n_clips:
            break
    if not clips:
        raise DataError(f"corpus {where}: none of its {len(cuts)} files can be used")
    return clips
