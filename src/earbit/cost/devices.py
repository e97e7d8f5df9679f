"""Estimated time of products on a named device, from its peak rates with sources.

This is a lower bound that no program reaches: it excludes memory traffic, launches and all other
operations.  Estimates and measured times have separate types and columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from earbit.config import suggest
from earbit.cost.op import OPERATIONS_PER_MAC, Op
from earbit.errors import ConfigError
from earbit.nn.precision import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """Peak rates of a machine."""

    name: str
    tops_of: dict[int, float]
    """10^12 operations per second by the bits of the operands; a MAC is two operations."""
    source: str

    def tops(self, precision: Precision) -> float:
        """The rate of the narrowest unit that holds the wider operand.

        2 bits run on the 4-bit unit, and a 1-bit weight with a float input runs in float.
        """
        widest = max(precision.weight_bits, precision.activation_bits)
        return self.tops_of[min(bits for bits in self.tops_of if bits >= widest)]


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatedTime:
    """An estimated, not measured, time."""

    device: str
    ms: float


A100 = "NVIDIA A100 SXM data sheet and Ampere white paper, dense"
A100_INTEGERS = {1: 4992.0, 4: 1248.0, 8: 624.0}
H200 = "NVIDIA H200 SXM data sheet, dense (half of the printed rates with sparsity)"
# Its data sheet has no rate below 8 bits, so narrower operands use that rate.
H200_INTEGERS = {8: 1979.0}

# Two vector pipes of 128 bits; each starts one of any of these instructions per cycle.  The guide
# was read for EOR and CNT alone, so FMLA, SDOT and UDOT have another source.
A76 = (
    "one core at 2.4 GHz as in a Raspberry Pi 5: "
    "2 FMLA (4 MACs), 2 SDOT (16), or 2/3 of EOR, CNT and UDOT (128) per cycle; EOR and CNT from "
    "the Arm Cortex-A76 software optimisation guide, PJDOC-466751330-7215; FMLA, SDOT and UDOT "
    "not from it but from LLVM's model of Neoverse N1, a sibling core"
)
_A76_GHZ = 2.4
_A76_PIPES = 2
_A76_MACS_PER_CYCLE = {
    # Exclusive or, count per byte, and a dot product with ones that sums the counts.
    1: _A76_PIPES * 128 / 3,
    8: _A76_PIPES * 16.0,
    32: _A76_PIPES * 4.0,
}

DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        # Several of each, because float operations set every ratio, by up to a factor of 16.
        Device(name="a100-fp32", tops_of={**A100_INTEGERS, 32: 19.5}, source=A100),
        Device(name="a100-tf32", tops_of={**A100_INTEGERS, 32: 156.0}, source=A100),
        Device(name="a100-fp16", tops_of={**A100_INTEGERS, 32: 312.0}, source=A100),
        Device(name="h200-fp32", tops_of={**H200_INTEGERS, 32: 67.0}, source=H200),
        Device(name="h200-fp16", tops_of={**H200_INTEGERS, 32: 989.5}, source=H200),
        Device(
            name="cortex-a76",
            tops_of={
                bits: OPERATIONS_PER_MAC * macs * _A76_GHZ / 1e3
                for bits, macs in _A76_MACS_PER_CYCLE.items()
            },
            source=A76,
        ),
    )
}


def devices_named(names: Sequence[str], *others: str) -> list[Device]:
    """Finds devices by name; raises ConfigError with similar names for unknown ones.

    others: names that the caller accepts besides those of the catalogue.
    """
    for name in names:
        if name not in DEVICES:
            raise ConfigError(f"unknown device {name!r}{suggest(name, [*DEVICES, *others])}")
    return [DEVICES[name] for name in dict.fromkeys(names)]


def estimate(ops: Iterable[Op], device: Device) -> EstimatedTime:
    """Estimates time as the sum over all products of 2 MACs / peak rate."""
    seconds = sum(
        OPERATIONS_PER_MAC * op.n_macs / (1e12 * device.tops(op.precision))
        for op in ops
        if op.n_macs
    )
    return EstimatedTime(device=device.name, ms=1e3 * seconds)
