"""Lowers attention in the fixed and the strided pattern, in float or in one bit."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from earbit.export.attention import has_bits_of, lower_operands, product_scale
from earbit.export.leaves import input_bits, lower_linear, step_of
from earbit.export.program import Program
from earbit.nn.leaves import MatMul
from earbit.nn.pattern_attention import FixedAttention, PatternAttention, StridedAttention
from earbit.quantize.leaves import QuantizedMatMul


def lower_pattern_attention(
    program: Program, name: str, block: PatternAttention, value: int
) -> int:
    """Attention to near and far frames; binarized, both have scales of their own."""
    has_bits = has_bits_of(name, block, "scores", "context", "far_scores", "far_context")
    operands = lower_operands(program, name, block, value, has_bits=has_bits)
    op, ints = _pattern(block)
    if has_bits:
        ints["head_dim"] = block.out_proj.in_features // block.n_heads
        floats = {
            **_scales("near", block.scores, block.context),
            **_scales("far", block.far_scores, block.far_context),
        }
        context = program.add(f"{op}_b1", operands, ints=ints, floats=floats)
    else:
        ints["heads"] = block.n_heads
        floats = {"score_scale": float(np.float32(block.q_scale))}
        context = program.add(f"{op}_f32", operands, ints=ints, floats=floats)
    context = input_bits(program, f"{name}.out_proj", block.out_proj, context)
    return lower_linear(program, f"{name}.out_proj", block.out_proj, context)


def _pattern(block: PatternAttention) -> tuple[str, dict[str, int]]:
    """The op without its type, and which head sees what."""
    ints = {"stride": block.stride, "near_heads": block.n_heads, "first_far_head": 0}
    if block.heads == "split":
        ints["near_heads"] = ints["first_far_head"] = block.n_heads // 2
    assert isinstance(block, (FixedAttention, StridedAttention))
    match block:
        case FixedAttention():
            return "fixed_attention", ints | {"expressivity": block.expressivity}
        case StridedAttention():
            return "strided_attention", ints
    assert_never(block)


def _scales(part: str, scores: MatMul, context: MatMul) -> dict[str, float]:
    assert isinstance(context, QuantizedMatMul)
    return {
        f"{part}_score_scale": product_scale(scores),
        f"{part}_prob_half": float(step_of(context.left_quantizer) / np.float32(2)),
        f"{part}_scale": product_scale(context),
    }
