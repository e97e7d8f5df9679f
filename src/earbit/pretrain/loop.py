"""The training loop: forward and loss of micro-batches; `data.py` and `steps.py` have the rest.

All random numbers of step n depend only on the seed and n, so on a CPU a resumed run gives the same
bits as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError, DataError, require_choice, require_range
from earbit.frames import MIN_SAMPLES
from earbit.model import AudioModel
from earbit.nn.evaluation import evaluating
from earbit.nn.finite import first_non_finite
from earbit.pretrain.checkpoint import Position
from earbit.pretrain.data import MicroBatch, epoch_rows, micro_batch, updates_of
from earbit.pretrain.machine import Machine, TrainPrecision
from earbit.pretrain.masking import MaskConfig
from earbit.pretrain.objective import Loss, Objective
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser, lr_at, set_lr
from earbit.pretrain.steps import apply_gradient, run_steps
from earbit.units.labelled import TrainingData


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run."""

    optimiser: OptimiserConfig
    mask: MaskConfig = MaskConfig()
    unmasked_weight: float = 0.0
    """Weight of the loss on unmasked frames: 0 in HuBERT; short runs need a positive weight."""
    batch_s: float = 87.5
    """Seconds of audio in a micro-batch, including padding."""
    accumulation: int = 1
    """Number of micro-batches of one rank whose gradients are added up for one update."""
    precision: TrainPrecision = "fp32"
    """Type of products: float32, or bfloat16 or float16 (with a scaled loss) by autocast."""
    crop_s: float = 15.625
    """Longer utterances are cropped to this length at a random position."""
    seed: int = 1337
    checkpoint_every_steps: int = 100
    log_every_steps: int = 10
    machine: Machine = Machine()

    def __post_init__(self) -> None:
        require_range(MIN_SAMPLES / SAMPLE_RATE_HZ, math.inf, crop_s=self.crop_s)
        require_choice(get_args(TrainPrecision), precision=self.precision)
        require_range(self.crop_s, math.inf, batch_s=self.batch_s)
        require_range(0, math.inf, unmasked_weight=self.unmasked_weight)
        require_range(0, 2**32, seed=self.seed)
        require_range(
            1,
            math.inf,
            accumulation=self.accumulation,
            checkpoint_every_steps=self.checkpoint_every_steps,
            log_every_steps=self.log_every_steps,
        )


def train(
    model: AudioModel,
    data: TrainingData,
    config: TrainConfig,
    out_dir: Path,
    *,
    objective: Objective,
    run: dict[str, Any],
    title: str = "training",
) -> dict[str, float]:
    """Trains `model` in place to the last step and returns its validation metrics.

    run: description of the run as JSON values, with all settings that determine the result.
    Resumes from the newest checkpoint below `out_dir` and appends to its log.jsonl.  Ctrl-C ends it
    after the current step with a checkpoint, and Interrupted names the step of that checkpoint.
    Raises ConfigError if the checkpoint belongs to another run or if `data` lacks units that the
    objective needs, and DataError with the step if the loss or a gradient is not finite.
    """
    _check_units(data, objective)
    optimiser = build_optimiser(model, config.optimiser)

    def updates(position: Position) -> Iterator[tuple[Position, dict[str, float]]]:
        for after, batches in updates_of(
            data,
            config,
            position,
            n_micro=config.accumulation,
            needs_units=objective.needs_units,
        ):
            yield after, _step(model, optimiser, objective, config, batches, after.step)

    run_steps(
        model,
        optimiser,
        updates,
        out_dir,
        n_steps=config.optimiser.n_steps,
        checkpoint_every_steps=config.checkpoint_every_steps,
        log_every_steps=config.log_every_steps,
        run=run,
        title=title,
    )
    return validate(model, data, config, objective)


@torch.no_grad()
def validate(
    model: AudioModel, data: TrainingData, config: TrainConfig, objective: Objective
) -> dict[str, float]:
    """Mean metrics of the objective over the validation cuts, with masks fixed by the seed.

    Raises ConfigError if the objective needs units that `data` lacks.
    """
    _check_units(data, objective)
    sums: dict[str, float] = {}
    epoch = epoch_rows(data.valid, config, epoch=0)
    with evaluating(model):
        for i, rows in enumerate(epoch):
            batch = micro_batch(
                data, config, rows, i, needs_units=objective.needs_units, clips=data.valid
            )
            if batch.ids:
                loss = objective.loss(model, batch.waveforms, batch.mask_BT, batch.targets_BT)
                for name, value in {"loss": loss.total, **loss.parts}.items():
                    sums[name] = sums.get(name, 0.0) + float(value)
    return {f"valid_{name}": total / len(epoch) for name, total in sums.items()}


def _check_units(data: TrainingData, objective: Objective) -> None:
    if objective.needs_units and data.labels is None:
        raise ConfigError(
            "the data has no units and the objective needs them; label the corpus with "
            "`earbit units`, or choose an objective without units"
        )


def _step(
    model: AudioModel,
    optimiser: torch.optim.Optimizer,
    objective: Objective,
    config: TrainConfig,
    batches: Sequence[MicroBatch],
    step: int,
) -> dict[str, float]:
    """One update; the loss of a micro-batch has the weight of its share of the masked frames."""
    lr = lr_at(step, config.optimiser)
    set_lr(optimiser, lr)
    optimiser.zero_grad(set_to_none=True)
    n_masked = sum(batch.n_masked for batch in batches)
    sums: dict[str, float] = {}
    for batch in batches:
        if not batch.ids:
            continue
        share = batch.n_masked / n_masked
        loss = _checked_loss(model, objective, batch, config.seed, step)
        (share * loss.total).backward()  # type: ignore[no-untyped-call]
        for name, value in {"loss": loss.total.detach(), **loss.parts}.items():
            sums[name] = sums.get(name, 0.0) + share * float(value)
    norm = apply_gradient(
        model,
        optimiser,
        max_gradient_norm=config.optimiser.max_gradient_norm,
        where=f"step {step}",
        remedy=f"batch {batches[0].ids[0]}, ...; lower peak_lr or look at these files",
    )
    return {**sums, "gradient_norm": norm, "lr": lr, "n_masked": n_masked}


def _checked_loss(
    model: AudioModel, objective: Objective, batch: MicroBatch, seed: int, step: int
) -> Loss:
    """Loss of a micro-batch. Raises DataError, naming step, clips and module, if not finite."""

    def forward() -> Loss:
        # Dropout uses torch's global generator, seeded for this batch and then restored.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed((seed << 32) + batch.number)
            return objective.loss(model, batch.waveforms, batch.mask_BT, batch.targets_BT)

    try:
        loss = forward()
    except DataError as error:
        raise DataError(f"step {step}, batch {', '.join(batch.ids[:5])}: {error}") from error
    if not bool(torch.isfinite(loss.total)):
        where = first_non_finite(model, forward) or "the loss itself"
        raise DataError(
            f"step {step}: the loss is {float(loss.total.detach())}, first not finite is {where}, "
            f"batch {batch.ids[0]}, ...; lower peak_lr or look at these files"
        )
    return loss
