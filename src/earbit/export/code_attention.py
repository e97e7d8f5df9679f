"""Lowers the products of attention on codes of 1 to 8 bits."""

from __future__ import annotations

import numpy as np
import torch

from earbit.export.arrays import array, step_of
from earbit.export.codes import quantize, unpack
from earbit.export.plain import Affine, Binarizer, PlainProgram
from earbit.export.thresholds import signed_bits
from earbit.nn.attention import SelfAttention
from earbit.nn.relative_attention import RelativeAttention
from earbit.quantize.leaves import QuantizedMatMul
from earbit.quantize.quantizers import ActivationQuantizer


def code_attention(
    program: PlainProgram,
    name: str,
    block: SelfAttention,
    projected: list[int],
    window: dict[str, int],
) -> int:
    """Lowers attention to its context in float, from q before its factor, k and v in float.

    projected: also the gate and the bias of a position bias, if there is one;  window: attributes
    of the frames that a query sees.
    """
    width = block.out_proj.in_features
    q, k, v, *position_bias = projected
    left, right = quantizers_of(block.scores)
    of_prob, of_values = quantizers_of(block.context)
    operands = [
        code_operand(program, q, f"{name}.scores.left", left, width, block.q_scale),
        code_operand(program, k, f"{name}.scores.right", right, width),
        code_operand(program, v, f"{name}.context.right", of_values, width),
        *position_bias,
    ]
    return program.add(
        "attention_i8",
        operands,
        ints={"heads": block.n_heads, **window, "prob_bits": of_prob.bits},
        floats={
            "q_scale": float(step_of(left)),
            "k_scale": float(step_of(right)),
            "prob_scale": float(step_of(of_prob)),
            "v_scale": float(step_of(of_values)),
        },
    )


def relative_code_attention(
    program: PlainProgram, name: str, block: RelativeAttention, projected: list[int]
) -> int:
    """The context in float, from q before its biases and factor, k, v and distances in float."""
    width = block.out_proj.in_features
    q, k, v, r = projected
    left, right = quantizers_of(block.scores)
    position_left, position_right = quantizers_of(block.position_scores)
    of_prob, of_values = quantizers_of(block.context)
    one = np.ones(width, np.float32)
    # Biases are added before the factor as in training, which avoids another rounding.
    of_content, of_position = (
        program.add_affine(q, Affine(one, array(bias).reshape(-1)))
        for bias in (block.content_bias, block.position_bias)
    )
    scores, position = f"{name}.scores", f"{name}.position_scores"
    operands = [
        code_operand(program, of_content, f"{scores}.left", left, width, block.q_scale),
        code_operand(program, of_position, f"{position}.left", position_left, width, block.q_scale),
        code_operand(program, k, f"{scores}.right", right, width),
        code_operand(program, r, f"{position}.right", position_right, width),
        code_operand(program, v, f"{name}.context.right", of_values, width),
    ]
    return program.add(
        "relative_attention_i8",
        operands,
        ints={"heads": block.n_heads, "prob_bits": of_prob.bits},
        floats={
            "q_scale": float(step_of(left)),
            "k_scale": float(step_of(right)),
            "p_scale": float(step_of(position_left)),
            "r_scale": float(step_of(position_right)),
            "prob_scale": float(step_of(of_prob)),
            "v_scale": float(step_of(of_values)),
        },
    )


def quantizers_of(product: torch.nn.Module) -> tuple[ActivationQuantizer, ActivationQuantizer]:
    """Quantizers of the left and the right operand of a quantized product."""
    assert isinstance(product, QuantizedMatMul)
    assert product.left_quantizer is not None
    assert product.right_quantizer is not None
    return product.left_quantizer, product.right_quantizer


def code_operand(
    program: PlainProgram,
    value: int,
    name: str,
    quantizer: ActivationQuantizer,
    width: int,
    factor: float = 1.0,
) -> int:
    """Quantizes queries, keys or values times `factor` to codes of 1 to 8 bits."""
    if quantizer.bits > 1:
        return quantize(program, value, name, quantizer, width, factor)
    # A positive factor changes no sign.
    bits = program.binarize(value, Binarizer(name, signed_bits(np.zeros(width, np.float32)), width))
    return unpack(program, bits, quantizer)
