"""Precision of a product: the bit widths of its operands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from earbit.errors import ConfigError, shown

BIT_WIDTHS = (1, 2, 4, 8, 32)
Granularity = Literal["channel", "tensor"]
"""Weights have one scale per output channel, or one per tensor (BiT)."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Bit widths of the weight (or right operand) and of the activation (or left operand)."""

    weight_bits: int
    activation_bits: int

    def __post_init__(self) -> None:
        for name, bits in (("weight", self.weight_bits), ("activation", self.activation_bits)):
            if bits not in BIT_WIDTHS:
                allowed = ", ".join(map(str, BIT_WIDTHS))
                raise ConfigError(f"{name} of {bits} bits; allowed: {allowed} (32 is float)")

    def __str__(self) -> str:
        return f"w{self.weight_bits}a{self.activation_bits}"

    @classmethod
    def parse(cls, text: str) -> Precision:
        """Parses a name of the form `w1a8`; `fp32` is full precision."""
        if text == "fp32":
            return cls(32, 32)
        # Python refuses to convert a text of thousands of digits.
        found = re.fullmatch(r"w([0-9]{1,9})a([0-9]{1,9})", text)
        if found is None:
            raise ConfigError(f"precision {shown(text)}; write it as w1a8 or fp32")
        return cls(int(found[1]), int(found[2]))

    @property
    def is_float(self) -> bool:
        """Whether both operands stay in floating point."""
        return self == FLOAT

    @property
    def is_half_float(self) -> bool:
        """Whether one operand alone stays in floating point, which no op of a program supports."""
        return (self.weight_bits == FLOAT.weight_bits) != (
            self.activation_bits == FLOAT.weight_bits
        )


FLOAT = Precision(32, 32)
W1A1 = Precision(1, 1)
