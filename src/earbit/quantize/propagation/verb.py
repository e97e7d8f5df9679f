"""`earbit errors`: where quantization noise arises, how it propagates, and how encoders compare."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.corpus import SYNTHETIC, load_waveform, open_corpus
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.config import override
from earbit.errors import ConfigError, DataError, require_range
from earbit.files import make_folder, write_json
from earbit.model import AudioModel, ModelConfig
from earbit.model_file import read_model_file
from earbit.nn.front_end import MIN_SAMPLES
from earbit.presets import PRESETS
from earbit.progress import progress, say
from earbit.quantize.convert import quantized_leaves_of
from earbit.quantize.load import model_path, noise_clips, preset_or_model, random_model
from earbit.quantize.plan import plan_named
from earbit.quantize.propagation.figure import need_matplotlib, write_figure
from earbit.quantize.propagation.measure import measure, n_passes
from earbit.quantize.propagation.models import calibrated_twin
from earbit.quantize.propagation.report import Measured, render, to_json

DEFAULT_PLAN = "w1a1"
MAX_CLIPS = 1024
MAX_SECONDS = 60.0
RESULT_NAME = "errors.json"
FIGURE_NAMES = ("errors.svg", "errors.png")


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
    out_dir: gets errors.json and the figure.  Raises ConfigError for what does not go together, and
    what opening models, plans and corpora raises.
    """
    require_range(1, MAX_CLIPS + 1, clips=n_clips)
    if not MIN_SAMPLES / SAMPLE_RATE_HZ <= seconds <= MAX_SECONDS:
        least = MIN_SAMPLES / SAMPLE_RATE_HZ
        raise ConfigError(f"seconds={seconds}; give {least:g} (one frame) to {MAX_SECONDS:g}")
    if is_noise and corpus is not None:
        raise ConfigError(f"--noise and --corpus {corpus}; give one of them")
    _check_models(models, plan, teachers, settings)
    if out_dir is not None:
        need_matplotlib()
        make_folder(out_dir)
    pairs = [
        _trained(where, teachers[i]) if teachers else _float_model(where, settings, seed)
        for i, where in enumerate(models)
    ]
    n_samples = round(seconds * SAMPLE_RATE_HZ)
    where = "noise" if is_noise else corpus or SYNTHETIC
    clips, others = (
        _noise(seed, n_clips, n_samples) if is_noise else _clips(where, seed, n_clips, n_samples)
    )
    measured = []
    for i, (teacher, student, name_of_plan) in enumerate(pairs):
        if student is None:
            name_of_plan = plan or DEFAULT_PLAN
            student = calibrated_twin(teacher, plan_named(name_of_plan), others)
        is_trained = bool(teachers)
        total = len(clips) * n_passes(student, is_trained=is_trained)
        with progress(f"errors of {models[i]}", total) as advance:
            errors = measure(teacher, student, clips, advance, is_trained=is_trained)
        measured.append(
            Measured(
                name=models[i],
                plan=name_of_plan,
                teacher=teachers[i] if teachers else None,
                n_layers=teacher.config.encoder.n_layers,
                d_model=teacher.config.encoder.d_model,
                errors=errors,
            )
        )
    audio = {"audio": where, "clips": len(clips), "seconds": _seconds(clips), "seed": seed}
    text, result = render(measured, audio), to_json(measured, audio)
    if out_dir is not None:
        write_json(out_dir / RESULT_NAME, result)
        for name in FIGURE_NAMES:
            write_figure(measured, out_dir / name)
        text += f"\n{out_dir}: {', '.join((RESULT_NAME, *FIGURE_NAMES))}"
    return text, result


def _check_models(
    models: Sequence[str], plan: str | None, teachers: Sequence[str], settings: Sequence[str]
) -> None:
    """ConfigError for arguments that do not go together, before anything is read."""
    if not models:
        raise ConfigError(f"no model; give models of ours or presets: {', '.join(PRESETS)}")
    if len(set(models)) < len(models):
        raise ConfigError(f"models {', '.join(models)}; give each of them once")
    if teachers:
        if plan is not None:
            raise ConfigError(f"--plan {plan} with --teacher: quantized models have a plan already")
        if len(teachers) != len(models):
            raise ConfigError(
                f"{len(models)} models and {len(teachers)} teachers; give one teacher per model, "
                "in the same order"
            )
    else:
        plan_named(plan or DEFAULT_PLAN)
    if settings and (teachers or any(where not in PRESETS for where in models)):
        raise ConfigError(
            f"--set {' '.join(settings)} with a trained model, whose configuration is what it was "
            "trained with; it is for presets"
        )


def _float_model(where: str, settings: Sequence[str], seed: int) -> tuple[AudioModel, None, str]:
    if where in PRESETS:
        return random_model(override(PRESETS[where](), settings), seed).eval(), None, ""
    model = preset_or_model(where, seed)
    if quantized_leaves_of(model):
        raise ConfigError(
            f"{where}: quantized already; name the full-precision model that it is compared with "
            "by --teacher, or give that model and --plan"
        )
    return model, None, ""


def _trained(where: str, teacher_where: str) -> tuple[AudioModel, AudioModel, str]:
    """Teacher, student and the student's plan."""
    if where in PRESETS:
        raise ConfigError(f"{where}: a preset with --teacher; give a quantized model of ours")
    student, teacher = preset_or_model(where, 0), preset_or_model(teacher_where, 0)
    if not quantized_leaves_of(student):
        raise ConfigError(f"{where}: nothing in it is quantized; leave out --teacher, give --plan")
    if quantized_leaves_of(teacher):
        raise ConfigError(f"--teacher {teacher_where}: quantized; give a full-precision model")
    if _without_head(student.config) != _without_head(teacher.config):
        raise ConfigError(
            f"--teacher {teacher_where}: another architecture than {where}; give the model that it "
            "was made from"
        )
    origin = read_model_file(model_path(where)).origin
    return teacher, student, str(origin.get("plan", "unknown"))


def _without_head(config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(config, n_units=None, d_unit=1)


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


def _seconds(clips: Sequence[np.ndarray]) -> float:
    return sum(clip.size for clip in clips) / SAMPLE_RATE_HZ
