"""Quantization: functions, leaves that use them, plans, conversion, calibration, training.

`codes`, `leaves`, `plan`, `convert` and `calibrate` depend on nothing but `earbit.nn`; `student`,
`train` and `verb` apply them to whole models.  The functions below are imported when they are first
used, so that reading a plan does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earbit.quantize.functions import (
        binarize_signed,
        binarize_unsigned,
        binarize_weight,
        quantize_signed,
        quantize_unsigned,
    )

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
    return getattr(import_module("earbit.quantize.functions"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
