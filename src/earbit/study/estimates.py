"""Estimated time and disk of the steps of a study.

The time of a training is that of its audio: measured on this machine (`--dry-run`), or MACs of the
model over RATE.  Tasks are their clips and updates times constants that were measured on a core of
Zen 3 with tiny models.  The order of the steps follows the estimates, and no result does.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.config import from_dict
from earbit.cost.profile import macs_of_lengths
from earbit.model import AudioModel, ModelConfig
from earbit.pretrain.plan import measure
from earbit.pretrain.recipe import RecipeConfig
from earbit.quantize.stages import QuantizeConfig
from earbit.study.request import Request, Served
from earbit.study.step import Step
from earbit.superb.tasks import task_named
from earbit.superb.work import Settings, named_work
from earbit.upstream.names import FBANK

RATE = 25e9
"""Multiply-adds of float32 per second and thread that trainings reach."""
BACKWARD = 3.0
"""Forward and backward pass, over the forward pass."""
QUANTIZED = 2.0
"""Step of a student with its teacher, over the step of the float model."""
USED_AUDIO = 0.85
"""Share of the seconds of a batch that crops leave."""
UPDATE_S = {"class": 0.012, "sequence": 0.12, "vector": 0.1, "segments": 0.15, "match": 0.0}
"""Update of a head by kind of output, with 16 clips."""
START_S = 3.0
"""Opening corpora and models."""
FBANK_HOURS_PER_S = 0.1
BYTES_PER_STATE = 4
CHECKPOINTS = 4
"""Kept checkpoints of a training, each of 3 times the parameters, with the model."""


def estimated(
    steps: Sequence[Step], request: Request, served: Served, *, is_measured: bool = False
) -> list[Step]:
    """The steps with `estimate_s` and `estimate_bytes`.

    is_measured: whether trainings of every encoder are measured first.
    """
    audio_s = {
        encoder: _training_s_per_audio_s(request, encoder, is_measured=is_measured)
        for encoder in request.scale.encoders
    }
    return [_estimated(step, request, served, audio_s) for step in steps]


def _training_s_per_audio_s(request: Request, encoder: str, *, is_measured: bool) -> float:
    """Seconds of a training of the float model for a second of audio."""
    recipe = request.scale.recipe(encoder, request.corpus, request.seed)
    if not is_measured:
        return BACKWARD * _macs_per_s(encoder, request) / (RATE * request.threads)
    config = replace(recipe.model, n_units=recipe.n_units)
    measured = measure(AudioModel(config), recipe.train, row_s=min(recipe.train.crop_s, 10.0))
    return float(measured["s_per_audio_s"])


def _macs_per_s(encoder: str, request: Request) -> float:
    config = request.scale.recipe(encoder, request.corpus, request.seed).model
    return _macs_of(config)


@functools.cache
def _macs_of(config: ModelConfig) -> float:
    return next(iter(macs_of_lengths(config, [10 * SAMPLE_RATE_HZ]))) / 10


def _estimated(step: Step, request: Request, served: Served, audio_s: Mapping[str, float]) -> Step:
    of_encoder = audio_s.get(str(step.encoder), 0.0)
    seconds, n_bytes = START_S, 1e5
    match step.stage:
        case "pretrain" | "pretrain2":
            recipe: RecipeConfig = from_dict(RecipeConfig, step.settings["recipe"])
            seconds += _of_training(recipe.train) * of_encoder
            n_bytes = _model_bytes(recipe.model) * (3 * CHECKPOINTS + 1)
        case "quantize":
            config: QuantizeConfig = from_dict(
                QuantizeConfig, {**step.settings["config"], "plans": ["w1a1"]}
            )
            seconds += QUANTIZED * _of_training(config.train) * of_encoder
            model = request.scale.recipe(str(step.encoder), request.corpus, 0).model
            n_bytes = _model_bytes(model) * (3 * CHECKPOINTS + 2)
        case "units" | "units2":
            seconds += 20.0
        case "score":
            more_s, n_bytes = _of_scores(step, request, served, of_encoder / BACKWARD)
            seconds += more_s
        case "packed" | "propagation":
            seconds += 5.0
        case "times":
            seconds += 15.0
    return replace(step, estimate_s=seconds, estimate_bytes=n_bytes)


def _of_training(train: Any) -> float:
    """Seconds of audio of a training."""
    return float(train.optimiser.n_steps * train.accumulation * train.batch_s * USED_AUDIO)


def _model_bytes(config: ModelConfig) -> float:
    from earbit.nn.shapes_only import shapes_only

    with shapes_only():
        return 4.0 * sum(p.numel() for p in AudioModel(config).parameters())


def _of_scores(
    step: Step, request: Request, served: Served, forward_s: float
) -> tuple[float, float]:
    """Time of the tasks of a step, and the size of its features meanwhile."""
    seconds = 0.0
    hours = 0.0
    settings = step.settings
    chosen = Settings(
        protocol=settings["protocol"], n_steps=settings["n_steps"], tasks=settings["heads"]
    )
    for name in step.parts:
        task = task_named(name)
        work = named_work(task, served.corpus_of[name])
        hours = max(hours, work.hours)
        protocol = chosen.of(task, work.hours)[1]
        n_updates = protocol.n_steps * len(protocol.lrs)
        seconds += n_updates * UPDATE_S[task.kind] * max(1, protocol.batch_size) / 16 + 2.0
    is_fbank = step.encoder == FBANK
    seconds += hours / FBANK_HOURS_PER_S if is_fbank else hours * 3600 * forward_s
    width, n_states, rate_hz = 240, 1, 100
    if not is_fbank:
        encoder = request.scale.recipe(str(step.encoder), request.corpus, 0).model.encoder
        width, n_states, rate_hz = encoder.d_model, encoder.n_layers + 1, 50
    return seconds, hours * 3600 * rate_hz * width * n_states * BYTES_PER_STATE
