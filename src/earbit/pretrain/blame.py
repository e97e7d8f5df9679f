"""Which parameter a gradient that is not finite belongs to."""

from __future__ import annotations

import torch


def non_finite_gradient(model: torch.nn.Module) -> str:
    """The last parameter whose gradient is not finite, by name: the first of a backward pass.

    Only their norm is not finite where all gradients are.
    """
    names = [
        name
        for name, p in model.named_parameters()
        if p.grad is not None and not bool(p.grad.isfinite().all())
    ]
    return names[-1] if names else "their norm"
