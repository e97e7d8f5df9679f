"""Settings of fine-tuning, and the learning rate of every parameter."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import inf
from typing import get_args

from earbit.audio.augment import AugmentConfig
from earbit.config import LATER
from earbit.errors import ConfigError, require_choice, require_range
from earbit.finetune.unlabelled import UnlabelledConfig
from earbit.nn.devices import TrainPrecision
from earbit.pretrain.machine import check_device_name
from earbit.pretrain.masking import MaskConfig
from earbit.pretrain.optimiser import OptimiserConfig

NO_MASK = MaskConfig(probability=0.0, span_frames=5, min_spans=1)
LAYER = re.compile(r"model\.encoder\.layers\.(\d+)\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneConfig:
    """Settings of one fine-tuning."""

    optimiser: OptimiserConfig
    """Schedule of the head's learning rate, gradient clipping and weight decay."""
    batch_size: int
    """Clips per update."""
    d_hidden: int
    """Width of the hidden layers of the head."""
    max_s: float | None = None
    """Longer training clips are cropped at random to this length in seconds."""
    augment: AugmentConfig = field(default=AugmentConfig(), metadata=LATER)
    """Random changes of the audio."""
    mask: MaskConfig = field(default=NO_MASK, metadata=LATER)
    """Spans of frames hidden from the encoder (wav2vec 2.0, arXiv 2006.11477, appendix B)."""
    unlabelled: UnlabelledConfig = field(default=UnlabelledConfig(), metadata=LATER)
    """Further audio, on which the teacher is imitated."""
    encoder_lr_factor: float = 0.5
    """Learning rate of the last layer of the encoder, divided by that of the head."""
    layer_decay: float = 1.0
    """Learning rate of a layer, divided by that of the next one (ELECTRA, arXiv 2003.10555).
    Parameters outside of layers, such as the front end, count as the layer before the first."""
    frozen_steps: int = 0
    """First updates, which train the head alone (wav2vec 2.0, arXiv 2006.11477)."""
    labels: float = 1.0
    """Weight of the loss of the task."""
    states: float = 0.0
    """Weight of the sum over hidden states of the mean squared error to the teacher."""
    logits: float = 0.0
    """Weight of the distance of the head's outputs from the teacher's."""
    device: str = "auto"
    """auto (CUDA if there is a GPU), cpu, cuda or cuda:N."""
    precision: TrainPrecision = "fp32"
    """Type of products: float32, or bfloat16 or float16 (with a scaled loss) by autocast."""
    checkpoint_every_steps: int = 100
    log_every_steps: int = 10

    def __post_init__(self) -> None:
        require_range(1, 2**16, batch_size=self.batch_size, d_hidden=self.d_hidden)
        for name in ("checkpoint_every_steps", "log_every_steps"):
            require_range(1, inf, **{name: getattr(self, name)})
        check_device_name(self.device)
        require_choice(get_args(TrainPrecision), precision=self.precision)
        require_range(0, self.optimiser.n_steps + 1, frozen_steps=self.frozen_steps)
        require_range(0, inf, encoder_lr_factor=self.encoder_lr_factor)
        require_range(0, inf, labels=self.labels, states=self.states, logits=self.logits)
        if self.unlabelled.corpus is not None and not self.states + self.logits > 0:
            raise ConfigError(
                f"unlabelled.corpus={self.unlabelled.corpus} with states=0 and logits=0: it only "
                "serves to imitate a teacher; give --teacher, or leave it out"
            )
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"layer_decay={self.layer_decay}; allowed: 0 < layer_decay <= 1")
        if self.max_s is not None and not 0 < self.max_s < inf:
            raise ConfigError(f"max_s={self.max_s}; allowed: 0 < max_s < inf, or null")
        of_model = 0 if self.frozen_steps else self.states
        if not self.labels + self.logits + of_model > 0:
            raise ConfigError(
                f"labels=0, logits=0, states={self.states:g}, frozen_steps={self.frozen_steps}: "
                "nothing to train in some steps; set labels or logits above 0"
            )


def lr_factor(name: str, n_layers: int, config: FinetuneConfig) -> float:
    """Learning rate of a parameter of a `Network`, divided by that of the head."""
    if not name.startswith("model."):
        return 1.0
    layer = LAYER.match(name)
    n_above = n_layers if layer is None else n_layers - 1 - int(layer[1])
    return config.encoder_lr_factor * config.layer_decay**n_above
