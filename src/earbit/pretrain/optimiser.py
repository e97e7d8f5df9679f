"""AdamW with HuBERT's constants, and its learning rate over the steps."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch

from earbit.errors import ConfigError, require_range


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimiserConfig:
    """Linear warm-up to `peak_lr`, then linear decay to zero at the last step."""

    peak_lr: float
    n_steps: int
    warmup_steps: int
    weight_decay: float = 0.01
    max_gradient_norm: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_steps <= self.n_steps or self.n_steps < 1:
            raise ConfigError(
                f"warmup_steps={self.warmup_steps} of n_steps={self.n_steps}; "
                "allowed: 0 <= warmup_steps <= n_steps, n_steps at least 1"
            )
        require_range(0, inf, weight_decay=self.weight_decay)
        if not (0 < self.peak_lr < inf and 0 < self.max_gradient_norm < inf):
            raise ConfigError(
                f"peak_lr={self.peak_lr}, max_gradient_norm={self.max_gradient_norm}; "
                "both must be finite and above 0"
            )


def lr_at(step: int, config: OptimiserConfig) -> float:
    """Learning rate of update `step`, counted from 1: warm-up to the peak, then down to 0."""
    if step <= config.warmup_steps:
        return config.peak_lr * step / config.warmup_steps
    left = config.n_steps - step
    return config.peak_lr * left / max(config.n_steps - config.warmup_steps, 1)


def build_optimiser(model: torch.nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """Decay on everything but the scales and shifts of binarizers, which have their own meaning."""
    names = dict(model.named_parameters())
    free = [p for name, p in names.items() if "_quantizer." in name]
    decayed = [p for name, p in names.items() if "_quantizer." not in name]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}]
    if free:
        groups.append({"params": free, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=config.peak_lr, betas=(0.9, 0.98), eps=1e-6)
