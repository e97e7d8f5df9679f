"""Compares the quantized operands of a model and of its program leaf by leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earbit.model import AudioModel
from earbit.nn.attention import SelfAttention
from earbit.nn.leaves import MatMul
from earbit.nn.relative_attention import RelativeAttention
from earbit.quantize.codes import code_range
from earbit.quantize.convert import quantized_leaves_of
from earbit.quantize.leaves import QuantizedConv1d, QuantizedMatMul
from earbit.quantize.quantizers import ActivationQuantizer


@dataclass(frozen=True, slots=True)
class Operand:
    """The place where a model computes the input of a leaf."""

    quantizer: ActivationQuantizer
    made_by: torch.nn.Module
    """The quantizer, or the projection whose output plus `bias`, times `factor`, is quantized."""
    factor: float = 1.0
    bias: Tensor | None = None
    is_conv: bool = False
    """Whether channels precede frames."""


def operands_of(model: AudioModel) -> dict[str, Operand]:
    """All quantized operands except probabilities, by their names in a program."""
    operands = {}
    for name, leaf in quantized_leaves_of(model).items():
        if not isinstance(leaf, QuantizedMatMul) and leaf.input_quantizer is not None:
            quantizer = leaf.input_quantizer
            is_conv = isinstance(leaf, QuantizedConv1d)
            operands[name] = Operand(quantizer, quantizer, is_conv=is_conv)
    for name, block in model.named_modules():
        if isinstance(block, SelfAttention):
            content_bias = None
            if isinstance(block, RelativeAttention):
                content_bias = block.content_bias.flatten()
                operands |= _position_operands(name, block)
            operands |= _product_operands(name, block, content_bias)
    return operands


def _product_operands(name: str, block: SelfAttention, q_bias: Tensor | None) -> dict[str, Operand]:
    """Queries, keys and values of the products of an attention."""
    # Read where they are computed, before heads and window blocks rearrange them.
    left, right = _quantizers(block.scores)
    _, values = _quantizers(block.context)
    operands = {}
    for role, of_product, projection, factor, bias in (
        ("scores.left", left, block.q_proj, block.q_scale, q_bias),
        ("scores.right", right, block.k_proj, 1.0, None),
        ("context.right", values, block.v_proj, 1.0, None),
    ):
        if of_product is not None:
            operands[f"{name}.{role}"] = Operand(of_product, projection, factor, bias)
    return operands


def _position_operands(name: str, block: RelativeAttention) -> dict[str, Operand]:
    left, right = _quantizers(block.position_scores)
    operands = {}
    if left is not None:
        bias = block.position_bias.flatten()
        operands[f"{name}.position_scores.left"] = Operand(left, block.q_proj, block.q_scale, bias)
    if right is not None:
        operands[f"{name}.position_scores.right"] = Operand(right, block.position_proj)
    return operands


def _quantizers(
    product: MatMul,
) -> tuple[ActivationQuantizer | None, ActivationQuantizer | None]:
    if not isinstance(product, QuantizedMatMul):
        return None, None
    return product.left_quantizer, product.right_quantizer


@contextmanager
def comparing(
    operands: Mapping[str, Operand], found: Mapping[str, np.ndarray], equal: dict[str, np.ndarray]
) -> Iterator[None]:
    """Context that compares operands of the model with `found`, the values of a program.

    equal: filled with bool (T, channels) for every computed operand, True where both agree.  Leaves
    continue with the program's values, so a different code is not counted again in later leaves.
    """
    hooks = [
        operand.made_by.register_forward_hook(_hook(operand, name, found[name], equal))
        for name, operand in operands.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(
    operand: Operand, name: str, found: np.ndarray, equal: dict[str, np.ndarray]
) -> Callable[[torch.nn.Module, Any, Tensor], Tensor | None]:
    quantizer = operand.quantizer

    def compare(module: torch.nn.Module, _: Any, output: Tensor) -> Tensor | None:
        is_code = module is quantizer
        # `forward` is called directly, so that hooks of observers do not run.
        read = output if operand.bias is None else output + operand.bias
        codes = output if is_code else quantizer.forward(read * operand.factor)
        rows = codes[0].T if operand.is_conv else codes[0]
        theirs = torch.from_numpy(values_of(found, quantizer, rows.shape[1])).to(rows)
        equal[name] = (theirs == rows).numpy()
        if not is_code:
            return None
        return (theirs.T if operand.is_conv else theirs)[None]

    return compare


def values_of(found: np.ndarray, quantizer: ActivationQuantizer, n_channels: int) -> np.ndarray:
    """Converts packed bits (groups, T, words) or stored codes to codes int16 (T, channels)."""
    low, high = code_range(quantizer.bits, quantizer.number_set)
    if found.dtype != np.uint64:
        return found.astype(np.int16) + np.int16(low)
    n_groups, n_rows, _ = found.shape
    bits = np.unpackbits(
        found.view(np.uint8).reshape(n_groups, n_rows, -1), axis=-1, bitorder="little"
    )
    rows = bits[..., : n_channels // n_groups].transpose(1, 0, 2).reshape(n_rows, n_channels)
    return np.where(rows == 1, np.int16(high), np.int16(low))
