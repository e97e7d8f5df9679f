"""`earbit propagation`: where quantization noise arises and how it grows, by encoder."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.corpus import SYNTHETIC, load_waveform, open_corpus
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError, DataError, require_range
from earbit.files import make_folder, none_left_empty, write_json
from earbit.frames import MIN_SAMPLES
from earbit.progress import progress, say
from earbit.quantize.plan import Plan
from earbit.quantize.propagation.figure import need_matplotlib, write_figure
from earbit.quantize.propagation.measure import measure, n_passes
from earbit.quantize.propagation.models import calibrated_twin
from earbit.quantize.propagation.report import Measured, to_json
from earbit.quantize.propagation.stacks import why_not_compared
from earbit.quantize.propagation.subjects import Subject, opened
from earbit.quantize.propagation.tables import render
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
    """The table and the JSON of every model's errors, and of every fair pair of encoders.

    models: presets (random weights from the seed) or models of ours in full precision, quantized
    under `plan` (`w1a1` by default); or quantized models, with the full-precision model of each in
    `teachers`.  corpus: 'synthetic' by default, or seeded noise.  n_clips: that are compared, as
    many again give scales;  seconds: of each, from its start.  settings: `path=value` for presets.
    out_dir: gets propagation.json and the figure.  Raises ConfigError for what does not go
    together, and what opening models, plans and corpora raises.
    """
    require_range(1, MAX_CLIPS + 1, clips=n_clips)
    if not MIN_SAMPLES / SAMPLE_RATE_HZ <= seconds <= MAX_SECONDS:
        least = MIN_SAMPLES / SAMPLE_RATE_HZ
        raise ConfigError(f"seconds={seconds}; give {least:g} (one frame) to {MAX_SECONDS:g}")
    if is_noise and corpus is not None:
        raise ConfigError(f"--noise and --corpus {corpus}; give one of them")
    subjects = opened(models, plan, teachers, settings, seed)
    unlike = why_not_compared([subject.stack for subject in subjects])
    if unlike is not None:
        say(unlike)
    if out_dir is not None:
        need_matplotlib()
    with nullcontext() if out_dir is None else none_left_empty(out_dir):
        if out_dir is not None:
            make_folder(out_dir)
        where = "noise" if is_noise else corpus or SYNTHETIC
        clips, others = (
            _noise(seed, n_clips, round(seconds * SAMPLE_RATE_HZ))
            if is_noise
            else _clips(where, seed, n_clips, round(seconds * SAMPLE_RATE_HZ))
        )
        measured = [_measured(subject, clips, others, seed) for subject in subjects]
        total_s = sum(clip.size for clip in clips) / SAMPLE_RATE_HZ
        audio = {"audio": where, "clips": len(clips), "seconds": total_s, "seed": seed}
        text, result = render(measured, audio), to_json(measured, audio)
        if out_dir is not None:
            write_json(out_dir / RESULT_NAME, result)
            for name in FIGURE_NAMES:
                write_figure(measured, out_dir / name)
            text += f"\n{out_dir}: {', '.join((RESULT_NAME, *FIGURE_NAMES))}"
    return text, result


def _measured(
    subject: Subject, clips: Sequence[np.ndarray], others: Sequence[np.ndarray], seed: int
) -> Measured:
    teacher, student = subject.teacher, subject.compared_with
    is_trained = not isinstance(student, Plan)
    if isinstance(student, Plan):
        student = calibrated_twin(teacher, student, others)
    total = len(clips) * n_passes(student, is_trained=is_trained)
    with progress(f"errors of {subject.stack.name}", total) as advance:
        errors = measure(teacher, student, clips, advance, is_trained=is_trained, seed=seed)
    return Measured(subject.stack, errors)


def _noise(seed: int, n_clips: int, n_samples: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    clips = noise_clips(seed, 2 * n_clips, n_samples)
    return clips[:n_clips], clips[n_clips:]


def _clips(
    where: str, seed: int, n_clips: int, n_samples: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Clips to compare and clips to take scales from, drawn by the seed; what is broken is not.

    A corpus that is too small for both gives its clips to the comparison, and the scales come from
    those too.
    """
    cuts = {cut.id: cut for cut in open_corpus(where).cuts}
    ids = sorted(cuts)
    random.Random(seed).shuffle(ids)
    clips: list[np.ndarray] = []
    for name in ids:
        try:
            clips.append(load_waveform(cuts[name])[:n_samples])
        except DataError as error:
            say(f"left out: {error}")
        if len(clips) == 2 * n_clips:
            break
    if not clips:
        raise DataError(f"corpus {where}: none of its {len(ids)} files can be decoded")
    return clips[:n_clips], clips[n_clips:] or clips
