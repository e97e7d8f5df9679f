"""Estimated time on a named device: peak rates of a catalogue, products alone.

This is a lower bound that no program reaches: it leaves out memory traffic, launches and whatever
is not a product.  It shares neither type nor column with a measured time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from earbit.cost.op import OPERATIONS_PER_MAC, Op
from earbit.nn.precision import Precision

SOURCE = "NVIDIA A100 SXM data sheet and Ampere white paper, dense rates"


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A machine by its peak rates."""

    name: str
    tops_of: dict[int, float]
    """10^12 operations per second by the bits of the operands; a MAC is two operations."""
    source: str = SOURCE

    def tops(self, precision: Precision) -> float:
        """The rate of the narrowest unit that holds the wider of the two operands.

        2 bits run on the 4-bit unit, and a 1-bit weight beside a float input runs in float.
        """
        widest = max(precision.weight_bits, precision.activation_bits)
        return self.tops_of[min(bits for bits in self.tops_of if bits >= widest)]


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatedTime:
    """A time that nobody measured."""

    device: str
    ms: float


_A100_INTEGER_TOPS = {1: 4992.0, 4: 1248.0, 8: 624.0}

DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        # Three devices, because what runs in float sets every ratio, by up to a factor of 16.
        Device(name="a100-fp32", tops_of={**_A100_INTEGER_TOPS, 32: 19.5}),
        Device(name="a100-tf32", tops_of={**_A100_INTEGER_TOPS, 32: 156.0}),
        Device(name="a100-fp16", tops_of={**_A100_INTEGER_TOPS, 32: 312.0}),
    )
}


def estimate(ops: Iterable[Op], device: Device) -> EstimatedTime:
    """Sum over all products of 2 MACs / peak rate."""
    seconds = sum(
        OPERATIONS_PER_MAC * op.n_macs / (1e12 * device.tops(op.precision))
        for op in ops
        if op.n_macs
    )
    return EstimatedTime(device=device.name, ms=1e3 * seconds)
