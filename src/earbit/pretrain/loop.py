"""The training loop: batch, mask, forward, loss; `steps.py` has the rest.

All random numbers of step n depend only on the seed and n, so on a CPU a resumed run gives the same
bits as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lhotse import CutSet
from torch import Tensor

from earbit.audio.batches import Batch, collate, epoch_batches
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError, DataError, require_range
from earbit.frames import MIN_SAMPLES, n_frames_of
from earbit.model import AudioModel
from earbit.nn.evaluation import evaluating
from earbit.nn.finite import first_non_finite
from earbit.pretrain.checkpoint import Position
from earbit.pretrain.masking import MaskConfig, batch_mask
from earbit.pretrain.objective import Loss, Objective
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser, lr_at, set_lr
from earbit.pretrain.steps import descend, run_steps
from earbit.units.labelled import TrainingData
from earbit.units.labels import UnitLabels


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run on one machine."""

    optimiser: OptimiserConfig
    mask: MaskConfig = MaskConfig()
    unmasked_weight: float = 0.0
    """Weight of the loss on unmasked frames: 0 in HuBERT; short runs need a positive weight."""
    batch_s: float = 87.5
    """Seconds of audio in a batch, including padding."""
    crop_s: float = 15.625
    """Longer utterances are cropped to this length at a random position."""
    seed: int = 1337
    checkpoint_every_steps: int = 100
    log_every_steps: int = 10

    def __post_init__(self) -> None:
        require_range(MIN_SAMPLES / SAMPLE_RATE_HZ, math.inf, crop_s=self.crop_s)
        require_range(self.crop_s, math.inf, batch_s=self.batch_s)
        require_range(0, math.inf, unmasked_weight=self.unmasked_weight)
        require_range(0, 2**32, seed=self.seed)
        require_range(
            1,
            math.inf,
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
        while True:
            for ids in _batches(data.train, config, position):
                position = Position(position.step + 1, position.epoch, position.batches_done + 1)
                yield (
                    position,
                    _step(model, optimiser, objective, data, config, ids, position.step),
                )
            position = Position(position.step, position.epoch + 1, 0)

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
    batches = _epoch(data.valid, config, epoch=0)
    with evaluating(model):
        for i, ids in enumerate(batches):
            generator = torch.Generator().manual_seed(config.seed + i)
            loss, _ = _loss(model, objective, data, config, ids, generator)
            for name, value in {"loss": loss.total, **loss.parts}.items():
                sums[name] = sums.get(name, 0.0) + float(value)
    return {f"valid_{name}": total / len(batches) for name, total in sums.items()}


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
    data: TrainingData,
    config: TrainConfig,
    ids: tuple[str, ...],
    step: int,
) -> dict[str, float]:
    lr = lr_at(step, config.optimiser)
    set_lr(optimiser, lr)

    def forward() -> tuple[Loss, int]:
        generator = torch.Generator().manual_seed((config.seed << 32) + step)
        # Dropout uses torch's global generator, which is seeded for this step and then restored.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed((config.seed << 32) + step)
            return _loss(model, objective, data, config, ids, generator)

    try:
        loss, n_masked = forward()
    except DataError as error:
        raise DataError(f"step {step}, batch {', '.join(ids[:5])}: {error}") from error
    if not bool(torch.isfinite(loss.total)):
        where = first_non_finite(model, forward) or "the loss itself"
        raise DataError(
            f"step {step}: the loss is {float(loss.total.detach())}, first not finite is {where}, "
            f"batch {ids[0]}, ...; lower peak_lr or look at these files"
        )
    norm = descend(
        model,
        optimiser,
        loss.total,
        max_gradient_norm=config.optimiser.max_gradient_norm,
        where=f"step {step}",
        remedy=f"batch {ids[0]}, ...; lower peak_lr or look at these files",
    )
    parts = {name: float(value) for name, value in loss.parts.items()}
    return {
        "loss": float(loss.total.detach()),
        **parts,
        "gradient_norm": norm,
        "lr": lr,
        "n_masked": n_masked,
    }


def _loss(
    model: AudioModel,
    objective: Objective,
    data: TrainingData,
    config: TrainConfig,
    ids: tuple[str, ...],
    generator: torch.Generator,
) -> tuple[Loss, int]:
    crop_samples = int(config.crop_s * SAMPLE_RATE_HZ)
    batch = collate(ids, data.waveforms, crop_samples=crop_samples, generator=generator)
    n_frames = n_frames_of(batch.waveforms.shape[1])
    mask_BT = batch_mask(len(ids), n_frames, config.mask, generator)
    if not bool(mask_BT.any()):
        raise DataError(
            f"batch {', '.join(ids[:5])}: no frame can be hidden; leave out clips under 2 frames"
        )
    targets_BT = None
    if objective.needs_units and data.labels is not None:
        targets_BT = _targets(batch, n_frames, data.labels)
    return objective.loss(model, batch, mask_BT, targets_BT), int(mask_BT.sum())


def _targets(batch: Batch, n_frames: int, labels: UnitLabels) -> Tensor:
    rows = [
        torch.from_numpy(labels.for_frames(name, n_frames, start_sample=start))
        for name, start in zip(batch.ids, batch.starts, strict=True)
    ]
    return torch.stack(rows)


def _epoch(cuts: CutSet, config: TrainConfig, epoch: int) -> list[tuple[str, ...]]:
    return epoch_batches(cuts, max_duration_s=config.batch_s, seed=config.seed, epoch=epoch)


def _batches(cuts: CutSet, config: TrainConfig, position: Position) -> list[tuple[str, ...]]:
    return _epoch(cuts, config, position.epoch)[position.batches_done :]
