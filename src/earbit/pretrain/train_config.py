"""Settings of one training run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import get_args

from earbit.audio.augment import AugmentConfig
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.config import LATER
from earbit.errors import ConfigError, require_choice, require_range
from earbit.frames import MIN_TRAINING_FRAMES, n_samples_of
from earbit.nn.devices import TrainPrecision
from earbit.pretrain.machine import Machine
from earbit.pretrain.masking import MaskConfig
from earbit.pretrain.optimiser import OptimiserConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run."""

    optimiser: OptimiserConfig
    mask: MaskConfig = MaskConfig()
    unmasked_weight: float = 0.0
    """Weight of the loss on unmasked frames: 0 in HuBERT; short runs need a positive weight."""
    batch_s: float = 87.5
    """Maximum seconds of audio in a micro-batch, of rows cropped to `crop_s` and the shortest."""
    accumulation: int = 1
    """Number of micro-batches of one rank whose gradients are added up for one update."""
    precision: TrainPrecision = "fp32"
    """Type of products: float32, or bfloat16 or float16 (with a scaled loss) by autocast."""
    crop_s: float = 15.625
    """Longer utterances are cropped to this length at a random position."""
    augment: AugmentConfig = field(default=AugmentConfig(), metadata=LATER)
    """Random changes of the audio; units keep their time, so none in shift_s and speed."""
    seed: int = 1337
    checkpoint_every_steps: int = 100
    log_every_steps: int = 10
    validate_every_steps: int = 1000
    """Steps between validations; the last step is always validated."""
    keep_checkpoints: int = 2
    """Number of newest checkpoints that are kept."""
    max_skipped_steps: int = 10
    """Steps with a loss or gradient that is not finite, in a row, that end the run."""
    tensorboard: bool = False
    """Whether to write the scalars of log.jsonl to OUT/tensorboard too."""
    machine: Machine = Machine()

    def __post_init__(self) -> None:
        least_s = n_samples_of(MIN_TRAINING_FRAMES) / SAMPLE_RATE_HZ
        require_range(least_s, math.inf, crop_s=self.crop_s)
        require_choice(get_args(TrainPrecision), precision=self.precision)
        if not self.mask.probability:
            raise ConfigError("mask.probability=0; allowed in pre-training: above 0, at most 1")
        if self.augment.moves:
            raise ConfigError(
                f"augment.shift_s={self.augment.shift_s}, augment.speed={self.augment.speed}; "
                "allowed in pre-training: 0, because units belong to frames"
            )
        if not self.crop_s <= self.batch_s < math.inf:
            raise ConfigError(
                f"batch_s={self.batch_s:g}, crop_s={self.crop_s:g}; allowed: crop_s <= batch_s, so "
                "that a batch holds a clip"
            )
        require_range(0, math.inf, unmasked_weight=self.unmasked_weight)
        require_range(0, 2**32, seed=self.seed)
        require_range(
            1,
            math.inf,
            accumulation=self.accumulation,
            checkpoint_every_steps=self.checkpoint_every_steps,
            log_every_steps=self.log_every_steps,
            validate_every_steps=self.validate_every_steps,
            keep_checkpoints=self.keep_checkpoints,
            max_skipped_steps=self.max_skipped_steps,
        )
