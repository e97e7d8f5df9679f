"""Devices by name, and the precision of products on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch

from earbit.errors import UnsupportedError

TrainPrecision = Literal["fp32", "bf16", "fp16"]
LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}


def device_named(name: str) -> torch.device:
    """The device called `auto` (CUDA if there is a GPU), `cpu`, `cuda` or `cuda:N`.

    Of several ranks on a machine each has the GPU of its number.  Raises UnsupportedError for a GPU
    that PyTorch does not see.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        build = torch.version.cuda
        reason = "this PyTorch is built without CUDA" if build is None else "PyTorch sees no GPU"
        raise UnsupportedError(f"device {name!r}: {reason}; use --device cpu, or auto")
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    n_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if ":" in name and n_here > 1:
        raise UnsupportedError(
            f"device {name!r} for {n_here} ranks, which need a GPU each; use --device cuda, and "
            "choose GPUs by CUDA_VISIBLE_DEVICES"
        )
    index = int(name.partition(":")[2]) if ":" in name else rank
    if index >= torch.cuda.device_count():
        raise UnsupportedError(
            f"device cuda:{index}: PyTorch sees {torch.cuda.device_count()} GPUs; start as many "
            "ranks as there are GPUs, or choose a lower number"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def autocast(device: torch.device, precision: TrainPrecision) -> AbstractContextManager[object]:
    """Context in which products are computed in `precision`; norms and losses stay in float32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=LOW[precision])


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Context in which products on `device` have the precision of their operands."""
    # The meta device has no autocast.
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


@contextmanager
def on_device(device: torch.device, *modules: torch.nn.Module) -> Iterator[None]:
    """Context in which the modules are on `device`; afterwards they are where they were."""
    before = [next((p.device for p in module.parameters()), device) for module in modules]
    try:
        for module in modules:
            module.to(device)
        yield
    finally:
        for module, home in zip(modules, before, strict=True):
            module.to(home)


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on `device`, copied from pinned memory without waiting where it is a GPU."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
