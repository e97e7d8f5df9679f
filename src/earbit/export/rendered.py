"""Text of the result of `earbit export`, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earbit.runtime.head_fields import NO_KEYWORD
from earbit.runtime.likeliest import NONE
from earbit.terminal import printable

ALIKE = 0.9
"""Cosine below which calibrated features need training."""


def rendered_program(result: Mapping[str, Any]) -> str:
    """Short text of the result of `export_model`: size, and agreement with PyTorch."""
    agreement = result["agreement"]
    bits = (
        f"{100 * agreement['bit_agreement']:.4f} % of bits equal "
        f"(worst {100 * agreement['worst_bit_agreement']:.4f} % at {agreement['worst_leaf']}), "
        if agreement["worst_bit_agreement"] < 1
        else "all bits equal, "
    )
    return (
        f"{printable(result['file'])}: {result['bytes'] / 1e6:.2f} MB; against PyTorch on "
        f"{agreement['n_frames']} frames: {bits if agreement['worst_leaf'] != 'none' else ''}"
        f"output cosine {agreement['output_cosine']:.6f}, "
        f"largest difference {agreement['max_abs_error']:.2g}"
        f"{_of_head(result['head']) if 'head' in result else ''}{_of_float(result)}"
    )


def _of_float(result: Mapping[str, Any]) -> str:
    """Text for the agreement with the float model, if it was measured."""
    if "float_cosine" not in result:
        return ""
    cosine = f"output cosine {result['float_cosine']:.4f}"
    if result["float_cosine"] < ALIKE:
        cosine += "; the features are others than those of the float model, and need training"
    return f"\nagainst the float model on the clips that calibrated it: {cosine}"


def _of_head(agreement: Mapping[str, Any]) -> str:
    label, torch_label = _shown(agreement["label"]), _shown(agreement["torch_label"])
    of_torch = (
        "as in PyTorch"
        if label == torch_label
        else f"but PyTorch gives {torch_label} (numbers at the border of two codes, see "
        "docs/numerics.md)"
    )
    return (
        f"; the result of the head is {label} {of_torch}, "
        f"largest difference of scores {agreement['max_abs_error']:.2g}"
    )


def _shown(label: str) -> str:
    return NO_KEYWORD if label == NONE else repr(label)
