"""Trains a network on the clips of a task.

All random numbers of a step depend only on the seed and its number, so on a CPU a resumed run gives
the same bits as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earbit.audio.augment import augmented
from earbit.audio.splits import Splits
from earbit.errors import DataError
from earbit.finetune.config import FinetuneConfig, lr_factor
from earbit.finetune.network import ClipBatch, Network, tuning_loss
from earbit.finetune.unlabelled import Unlabelled
from earbit.frames import FRAME_RATE_HZ, HOP_SAMPLES, n_frames_of, n_samples_of
from earbit.heads.example import Example
from earbit.heads.kinds.kind import Slots
from earbit.heads.kinds.table import KINDS
from earbit.nn.devices import autocast, device_named, on_device
from earbit.nn.seeds import DATA, DROPOUT, step_seed
from earbit.pretrain.blame import non_finite_gradient
from earbit.pretrain.checkpoint import Position
from earbit.pretrain.masking import batch_mask
from earbit.pretrain.optimiser import build_optimiser, lr_at, set_lr
from earbit.pretrain.steps import apply_gradient, run_steps
from earbit.superb.task import Task
from earbit.upstream.batches import endless_batches


@dataclass(frozen=True, kw_only=True, slots=True)
class Clips:
    """Clips of a task with their audio, and further audio."""

    task: Task
    splits: Splits[Example]
    slots: Slots
    waveforms: Mapping[str, NDArray[np.float32]]
    unlabelled: Unlabelled | None = None


def fine_tune(
    network: Network,
    teacher: Network | None,
    clips: Clips,
    config: FinetuneConfig,
    out_dir: Path,
    *,
    seed: int,
    run: dict[str, Any],
) -> None:
    """Trains `network` in place to the last step, or resumes it; ends in evaluation mode.

    run: description of the run, for checkpoints below `out_dir`.  Raises DataError with the step if
    the loss or a gradient is not finite.
    """
    device = device_named(config.device)
    with on_device(device, network, *([] if teacher is None else [teacher])):
        tuning = _Tuning(network, teacher, clips, config, device, seed)
        run_steps(
            network,
            tuning.optimiser,
            tuning.updates,
            out_dir,
            n_steps=config.optimiser.n_steps,
            checkpoint_every_steps=config.checkpoint_every_steps,
            log_every_steps=config.log_every_steps,
            run=run,
            title=f"fine-tuning {clips.task.name}",
            scaler=tuning.scaler,
        )
    network.eval()


@dataclass
class _Tuning:
    """The updates of a fine-tuning."""

    network: Network
    teacher: Network | None
    clips: Clips
    config: FinetuneConfig
    device: torch.device
    seed: int

    def __post_init__(self) -> None:
        n_layers, config = self.network.model.config.encoder.n_layers, self.config
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        # Allocates the state of the scaler, which checkpoints restore.
        self.scaler.scale(torch.zeros((), device=self.device))
        self.optimiser = build_optimiser(
            self.network, config.optimiser, lambda name: lr_factor(name, n_layers, config)
        )

    def updates(
        self, position: Position
    ) -> Generator[tuple[Position, dict[str, float]], None, None]:
        """Endless updates from a position."""
        train, is_balanced = self.clips.splits.train, self.clips.task.is_balanced
        batches = endless_batches(
            [example.target for example in train],
            self.config.batch_size,
            is_balanced=is_balanced,
            seed=self.seed,
        )
        for step, rows in enumerate(islice(batches, position.step, None), start=position.step + 1):
            yield Position(step, 0, step), self._step([train[i] for i in rows], step)

    def _step(self, examples: Sequence[Example], step: int) -> dict[str, float]:
        network, config, clips, device = self.network, self.config, self.clips, self.device
        lr = lr_at(step, config.optimiser)
        set_lr(self.optimiser, lr)
        # In evaluation mode a frozen model has neither dropout nor new statistics of batch norm.
        network.model.train(step > config.frozen_steps)
        generator = torch.Generator().manual_seed(step_seed(self.seed, step, DATA))
        batch = batch_of(examples, clips, config, generator).on(device)
        # Dropout and masks use torch's global generator, seeded for this step and then restored.
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            autocast(device, config.precision),
        ):
            torch.manual_seed(step_seed(self.seed, step, DROPOUT))
            loss = tuning_loss(network, self.teacher, batch, clips.task.kind, clips.slots, config)
        where = f"step {step}"
        remedy = f"batch {examples[0].id}, ...; lower the learning rates or look at these files"
        if not bool(torch.isfinite(loss.total)):
            raise DataError(f"{where}: the loss is {float(loss.total.detach())}, {remedy}")
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss.total).backward()  # type: ignore[no-untyped-call]
        norm, outcome = apply_gradient(
            network,
            self.optimiser,
            self.scaler,
            max_gradient_norm=config.optimiser.max_gradient_norm,
        )
        if outcome == "not finite":
            raise DataError(
                f"{where}: the gradient is {norm}, the first one not finite is that of "
                f"{non_finite_gradient(network)}, {remedy}"
            )
        parts = {name: float(value) for name, value in loss.parts.items()}
        # Not finite while the scale of a loss in float16 is looked for.
        of_gradient = {"gradient_norm": norm} if math.isfinite(norm) else {}
        return {"loss": float(loss.total.detach()), **parts, **of_gradient, "lr": lr}


def batch_of(
    examples: Sequence[Example],
    clips: Clips,
    config: FinetuneConfig,
    generator: torch.Generator,
) -> ClipBatch:
    """Augmented audio, targets and mask of clips; longer ones are cropped to `max_s` at random.

    Crops of the audio without labels follow.
    """
    waveforms, goals = [], []
    encode = KINDS[clips.task.kind].encode
    for example in examples:
        wave_N = clips.waveforms[example.id]
        n_frames = n_frames_of(wave_N.size)
        goal = encode(example.target, clips.slots, n_frames, HOP_SAMPLES)
        kept = n_frames
        if config.max_s is not None:
            kept = min(n_frames, max(1, round(config.max_s * FRAME_RATE_HZ)))
        if n_frames > kept:
            start = int(torch.randint(n_frames - kept + 1, (), generator=generator))
            wave_N = wave_N[start * HOP_SAMPLES :][: n_samples_of(kept)]
            goal = goal[start : start + kept] if goal.dim() == 2 else goal
        waveforms.append(torch.from_numpy(wave_N))
        goals.append(goal)
    if clips.unlabelled is not None:
        waveforms += clips.unlabelled.crops(generator)
    lengths = [len(wave_N) for wave_N in waveforms]
    wave_BN = torch.zeros(len(waveforms), max(lengths))
    for row, changed_N in zip(
        wave_BN, augmented(waveforms, config.augment, generator), strict=True
    ):
        row[: len(changed_N)] = changed_N
    mask_BT = batch_mask(len(lengths), n_frames_of(max(lengths)), config.mask, generator)
    return ClipBatch(wave_BN, torch.tensor(lengths), goals, mask_BT)
