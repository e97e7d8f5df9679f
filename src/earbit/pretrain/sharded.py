"""Tensors that FSDP shares out among the ranks: gathered for a checkpoint, shared out again.

All ranks must call these functions in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from earbit.distributed import rank


def full(tensor: Tensor) -> Tensor:
    """The whole tensor, gathered from all ranks if it is shared out."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole tensors by name."""
    return {name: full(tensor) for name, tensor in tensors.items()}


def kept_by_first(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole tensors by name, contiguous, on rank 0; nothing on the others.

    A gathered tensor leaves the GPU before the next one is gathered.
    """
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole = full(tensor.detach())
        if rank() == 0:
            kept[name] = whole.cpu().contiguous()
        del whole
    return kept


def shared_out(whole: Tensor, like: Any) -> Tensor:
    """The part that this rank has of a whole tensor, shared out as `like` is, on its device.

    The tensor itself if `like` is not shared out or has another shape.
    """
    if not hasattr(like, "full_tensor") or whole.shape != like.shape:
        return whole
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)


@torch.no_grad()
def load_into(module: torch.nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Loads whole tensors into a module, shared out or not; raises the errors of PyTorch."""
    now = module.state_dict()
    module.load_state_dict(
        {n: shared_out(t, now[n]) if n in now else t for n, t in tensors.items()}
    )
