"""AdamW with the constants of HuBERT and its learning rate schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import torch

from earbit.errors import ConfigError, require_range

PATH = "train.optimiser"
"""Path of the settings in the configurations of `pretrain` and `quantize`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimiserConfig:
    """Settings of AdamW; the rate rises linearly to `peak_lr`, and decays linearly to 0."""

    peak_lr: float
    n_steps: int
    warmup_steps: int
    decay_steps: int | None = None
    """Last steps, in which the rate decays; None for all after the warm-up.

    Before the decay the rate is constant, and the run can be continued with more steps."""
    weight_decay: float = 0.01
    max_gradient_norm: float = 10.0
    quantizer_lr_factor: float = 1.0
    """Learning rate of quantizer scales and shifts, divided by the rate of other parameters."""

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise ConfigError(f"n_steps={self.n_steps}; allowed: 1 or more")
        if not 0 <= self.warmup_steps <= self.n_steps:
            raise ConfigError(
                f"warmup_steps={self.warmup_steps} of n_steps={self.n_steps}; allowed: 0 <= "
                f"warmup_steps <= n_steps; set both, as warmup_steps={self.n_steps // 5}"
            )
        if self.decay_steps is not None:
            most = self.n_steps - self.warmup_steps
            if not 0 <= self.decay_steps <= most:
                raise ConfigError(
                    f"decay_steps={self.decay_steps}; allowed: 0 to n_steps - warmup_steps = {most}"
                )
        require_range(0, inf, weight_decay=self.weight_decay)
        require_range(0, inf, quantizer_lr_factor=self.quantizer_lr_factor)
        for name in ("peak_lr", "max_gradient_norm"):
            value = getattr(self, name)
            if not 0 < value < inf:
                raise ConfigError(f"{name}={value}; allowed: 0 < {name} < inf")


def with_warmup(settings: Sequence[str], optimiser: OptimiserConfig) -> list[str]:
    """Settings that keep the share of warm-up of `optimiser` if they set the steps alone.

    settings: `train.optimiser.n_steps=500` and others, as in `earbit.config.override`.
    """
    paths = [setting.partition("=")[0].strip() for setting in settings]
    given = list(settings)
    if f"{PATH}.n_steps" in paths and f"{PATH}.warmup_steps" not in paths:
        last = max(i for i, path in enumerate(paths) if path == f"{PATH}.n_steps")
        text = settings[last].partition("=")[2].strip()
        if text.isdecimal():  # other texts are refused with the settings
            n_warmup = int(text) * optimiser.warmup_steps // optimiser.n_steps
            given.append(f"{PATH}.warmup_steps={n_warmup}")
    return given


def _equal(name: str) -> float:
    return 1.0


def lr_at(step: int, config: OptimiserConfig) -> float:
    """Learning rate of update `step`, counted from 1: warm-up, `peak_lr`, linear decay to 0."""
    if step <= config.warmup_steps:
        return config.peak_lr * step / config.warmup_steps
    n_after = config.n_steps - config.warmup_steps
    n_decay = n_after if config.decay_steps is None else config.decay_steps
    left = config.n_steps - step
    return config.peak_lr * left / max(n_decay, 1) if left < n_decay else config.peak_lr


def build_optimiser(
    model: torch.nn.Module, config: OptimiserConfig, factor_of: Callable[[str], float] = _equal
) -> torch.optim.AdamW:
    """Builds AdamW; quantizer parameters have their own learning rate and no weight decay.

    factor_of: name of a parameter -> factor of its learning rate.
    """
    groups: dict[tuple[bool, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        key = "_quantizer." in name, factor_of(name)
        groups.setdefault(key, []).append(parameter)
    is_on_gpu = any(p.device.type == "cuda" for p in model.parameters())
    return torch.optim.AdamW(
        [
            {
                "params": groups[is_free, factor],
                "weight_decay": 0.0 if is_free else config.weight_decay,
                "lr_factor": factor * (config.quantizer_lr_factor if is_free else 1.0),
            }
            for is_free, factor in sorted(groups)
        ],
        lr=config.peak_lr,
        betas=(0.9, 0.98),
        eps=1e-6,
        # One kernel for all parameters; on a CPU the bits stay those of the plain loop.
        fused=True if is_on_gpu else None,
    )


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Sets the learning rates of all groups of `build_optimiser`; weights get `lr`."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_factor"]
