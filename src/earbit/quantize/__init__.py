"""Quantization to 1, 2, 4 and 8 bits: quantizers, leaves, plans, conversion, calibration, training.

The quantizers are documented functions: `binarize_signed`, `binarize_unsigned`, `binarize_weight`,
`quantize_signed`, `quantize_unsigned`.  Leaves, plans, `convert` and `calibrate` know the three
leaves of `earbit.nn.leaves` only; `train` and `verb` run whole models.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "binarize_signed",
    "binarize_unsigned",
    "binarize_weight",
    "quantize_signed",
    "quantize_unsigned",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'earbit.quantize' has no attribute {name!r}")
    # Found when asked for: `earbit.quantize.plan` is imported where torch is not installed.
    return getattr(import_module("earbit.quantize.functions"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
