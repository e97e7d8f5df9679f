"""Locates the parameter that a non-finite gradient starts at."""

from __future__ import annotations

import torch

from earbit.pretrain.sharded import full


def non_finite_gradient(model: torch.nn.Module) -> str:
    """Name of the last parameter with a non-finite gradient, the first in the backward pass.

    Returns "their norm" if all gradients are finite and only their norm overflows.  All ranks must
    call it where gradients are sharded.
    """
    names = [
        name
        for name, p in model.named_parameters()
        if p.grad is not None and not bool(full(p.grad).isfinite().all())
    ]
    return names[-1] if names else "their norm"
