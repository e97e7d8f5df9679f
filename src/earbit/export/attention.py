"""Lowers self-attention, full or in a window, in float or in one bit."""

from __future__ import annotations

import numpy as np

from earbit.errors import UnsupportedError
from earbit.export.leaves import (
    Binarizer,
    input_binarizer,
    input_bits,
    is_binary,
    lower_linear,
    product_bits,
    step_of,
)
from earbit.export.program import Program
from earbit.export.thresholds import signed_bits
from earbit.nn.attention import SelfAttention
from earbit.nn.window_attention import WindowAttention
from earbit.quantize.leaves import QuantizedMatMul


def lower_attention(program: Program, name: str, block: SelfAttention, value: int) -> int:
    """Attention to all frames, or to those of a window."""
    has_bits = is_binary(f"{name}.scores", block.scores)
    if has_bits != is_binary(f"{name}.context", block.context):
        raise UnsupportedError(
            f"{name}: one of scores and context is binary and the other is not; "
            "give both the same precision in the plan"
        )
    n_heads, width = block.n_heads, block.out_proj.in_features
    radius = block.radius_frames if isinstance(block, WindowAttention) else -1
    zero = np.zeros(width, np.float32)
    projected = []
    for role, leaf, factor, operand in (
        ("q_proj", block.q_proj, block.q_scale, "scores.left"),
        ("k_proj", block.k_proj, 1.0, "scores.right"),
        ("v_proj", block.v_proj, 1.0, "context.right"),
    ):
        then = None
        if has_bits:
            then = Binarizer(f"{name}.{operand}", signed_bits(zero), width, n_heads)
        read = input_bits(program, f"{name}.{role}", leaf, value)
        projected.append(
            lower_linear(program, f"{name}.{role}", leaf, read, then=then, factor=factor)
        )
    if has_bits:
        context = _binary_attention(program, name, block, projected, radius)
    else:
        context = program.add(
            "attention_f32",
            projected,
            ints={"heads": n_heads, "radius": radius},
            floats={"score_scale": float(np.float32(block.q_scale))},
        )
        context = input_bits(program, f"{name}.out_proj", block.out_proj, context)
    return lower_linear(program, f"{name}.out_proj", block.out_proj, context)


def _binary_attention(
    program: Program, name: str, block: SelfAttention, operands: list[int], radius: int
) -> int:
    scores = block.scores
    assert isinstance(scores, QuantizedMatMul)
    left, right = step_of(scores.left_quantizer), step_of(scores.right_quantizer)
    floats = {"score_scale": float(left * right)}
    ints = {"radius": radius}
    return context_of_bits(program, "attention_b1", name, block, operands, ints, floats)


def context_of_bits(
    program: Program,
    op: str,
    name: str,
    block: SelfAttention,
    operands: list[int],
    ints: dict[str, int],
    floats: dict[str, float],
) -> int:
    """A binary attention op with what all of them have: heads, probabilities, what comes out.

    ints, floats: what is the op's own.
    """
    context = block.context
    assert isinstance(context, QuantizedMatMul)
    share = step_of(context.left_quantizer)
    scale = share * step_of(context.right_quantizer)
    ints = {"head_dim": block.out_proj.in_features // block.n_heads, **ints}
    floats = {**floats, "prob_half": float(share / np.float32(2))}
    if not is_binary(f"{name}.out_proj", block.out_proj):
        return program.add(op, operands, ints=ints, floats=floats | {"scale": float(scale)})
    then = input_binarizer(f"{name}.out_proj", block.out_proj)
    # The product over keys has no fixed length; no sequence is longer than this many frames.
    thresholds = product_bits(then, 2**24, lambda dot: scale * dot.astype(np.float32))
    made = program.add(op, operands, ints=ints, floats=floats, tensors={"threshold": thresholds})
    program.bits[then.leaf_name] = made
    return made
