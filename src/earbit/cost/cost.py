"""Cost of a part of a model: figures that add up, and peak memory, which does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from earbit.cost.devices import EstimatedTime
from earbit.cost.storage import RestBits

STORAGE_FORMATS: tuple[RestBits, ...] = (32, 16)
"""Storage formats of unquantized tensors: fp32 and fp16."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Cost of an operation, a module, a role or a whole model for one clip."""

    parameters: int = 0
    storage_bits: dict[int, int]
    """Storage by the bits of unquantized tensors."""
    macs: int = 0
    other_flops: int = 0
    """Floating-point operations that are not products."""
    flops: int = 0
    """Two per MAC, plus the other FLOPs."""
    float_flops: int = 0
    """FLOPs without products of quantized operands."""
    bops: int = 0
    activation_bits: int = 0
    """Peak bits of live activations (`earbit.cost.memory`)."""
    estimates: dict[str, EstimatedTime]
    """Estimated times by device."""


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of at least one cost, with the maximum of memory, which is reused."""
    several = list(costs)
    first = several[0]
    return Cost(
        parameters=sum(c.parameters for c in several),
        storage_bits={
            bits: sum(c.storage_bits[bits] for c in several) for bits in first.storage_bits
        },
        macs=sum(c.macs for c in several),
        other_flops=sum(c.other_flops for c in several),
        flops=sum(c.flops for c in several),
        float_flops=sum(c.float_flops for c in several),
        bops=sum(c.bops for c in several),
        activation_bits=max(c.activation_bits for c in several),
        estimates={
            device: EstimatedTime(device=device, ms=sum(c.estimates[device].ms for c in several))
            for device in first.estimates
        },
    )
