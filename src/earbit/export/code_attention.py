"""Lowers the two products of attention on codes: 1 to 8 bits for each of their four operands."""

from __future__ import annotations

import numpy as np

from earbit.export.arrays import step_of
from earbit.export.codes import quantize, unpack
from earbit.export.leaves import Binarizer, pack
from earbit.export.program import Program
from earbit.export.thresholds import signed_bits
from earbit.nn.attention import SelfAttention
from earbit.quantize.leaves import QuantizedMatMul
from earbit.quantize.quantizers import ActivationQuantizer


def code_attention(
    program: Program, name: str, block: SelfAttention, projected: list[int], radius: int
) -> int:
    """The context in float, of q before its factor, k and v in float."""
    scores, context = block.scores, block.context
    assert isinstance(scores, QuantizedMatMul)
    assert isinstance(context, QuantizedMatMul)
    prob = context.left_quantizer
    assert prob is not None
    width = block.out_proj.in_features
    operands = [
        code_operand(program, value, f"{name}.{role}", quantizer, width, factor)
        for value, (role, quantizer, factor) in zip(
            projected,
            (
                ("scores.left", scores.left_quantizer, block.q_scale),
                ("scores.right", scores.right_quantizer, 1.0),
                ("context.right", context.right_quantizer, 1.0),
            ),
            strict=True,
        )
    ]
    return program.add(
        "attention_i8",
        operands,
        ints={"heads": block.n_heads, "radius": radius, "prob_bits": prob.bits},
        floats={
            "q_scale": float(step_of(scores.left_quantizer)),
            "k_scale": float(step_of(scores.right_quantizer)),
            "prob_scale": float(step_of(prob)),
            "v_scale": float(step_of(context.right_quantizer)),
        },
    )


def code_operand(
    program: Program,
    value: int,
    name: str,
    quantizer: ActivationQuantizer | None,
    width: int,
    factor: float,
) -> int:
    """Codes of queries, keys or values, of 1 to 8 bits, from their floats times `factor`."""
    assert quantizer is not None
    if quantizer.bits > 1:
        return quantize(program, value, name, quantizer, width, factor)
    # A factor above zero changes no sign.
    bits = pack(program, value, Binarizer(name, signed_bits(np.zeros(width, np.float32)), width))
    return unpack(program, bits, quantizer)
