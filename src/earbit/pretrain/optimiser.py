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
    quantizer_lr_factor: float = 1.0
    """Learning rate of quantizers' scales and shifts over that of everything else."""

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise ConfigError(f"n_steps={self.n_steps}; give at least 1")
        if not 0 <= self.warmup_steps <= self.n_steps:
            raise ConfigError(
                f"warmup_steps={self.warmup_steps} of n_steps={self.n_steps}; allowed: 0 <= "
                "warmup_steps <= n_steps; set both, as train.optimiser.warmup_steps="
                f"{self.n_steps // 5}"
            )
        require_range(0, inf, weight_decay=self.weight_decay)
        require_range(0, inf, quantizer_lr_factor=self.quantizer_lr_factor)
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
    """AdamW; scales and shifts of quantizers do not decay and have a learning rate of their own."""
    names = dict(model.named_parameters())
    free = [p for name, p in names.items() if "_quantizer." in name]
    decayed = [p for name, p in names.items() if "_quantizer." not in name]
    groups = [{"params": decayed, "weight_decay": config.weight_decay, "lr_factor": 1.0}]
    if free:
        factor = config.quantizer_lr_factor
        groups.append({"params": free, "weight_decay": 0.0, "lr_factor": factor})
    return torch.optim.AdamW(groups, lr=config.peak_lr, betas=(0.9, 0.98), eps=1e-6)


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Gives every group of `build_optimiser` its learning rate, where that of weights is `lr`."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_factor"]
