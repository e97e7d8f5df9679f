"""Lowers attention in the fixed and the strided pattern, in float, in one bit or on codes."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from earbit.export.attention import lower_operands, operands_of, product_scale
from earbit.export.code_attention import code_operand, quantizers_of
from earbit.export.leaves import input_bits, lower_linear, step_of
from earbit.export.program import Program
from earbit.nn.leaves import MatMul
from earbit.nn.pattern_attention import FixedAttention, PatternAttention, StridedAttention
from earbit.quantize.leaves import QuantizedMatMul

OPERANDS = ("scores.left", "scores.right", "context.right")
"""Queries, keys and values, as the products of a part name them; far ones with `far_` in front."""


def lower_pattern_attention(
    program: Program, name: str, block: PatternAttention, value: int
) -> int:
    """Attention to near and far frames; quantized, both have scales of their own."""
    kind = operands_of(name, block, "scores", "context", "far_scores", "far_context")
    operands = lower_operands(program, name, block, value, has_bits=kind == "bits")
    op, ints = _pattern(block)
    match kind:
        case "bits":
            for operand, bits in zip(OPERANDS, operands, strict=True):
                program.bits[f"{name}.far_{operand}"] = bits  # signs are those of the near ones
            ints["head_dim"] = block.out_proj.in_features // block.n_heads
            floats = {
                **_scales("near", block.scores, block.context),
                **_scales("far", block.far_scores, block.far_context),
            }
            context = program.add(f"{op}_b1", operands, ints=ints, floats=floats)
        case "codes":
            context = _code_attention(program, name, block, operands, op, ints)
        case "floats":
            ints["heads"] = block.n_heads
            floats = {"score_scale": float(np.float32(block.q_scale))}
            context = program.add(f"{op}_f32", operands, ints=ints, floats=floats)
    context = input_bits(program, f"{name}.out_proj", block.out_proj, context)
    return lower_linear(program, f"{name}.out_proj", block.out_proj, context)


def _code_attention(
    program: Program,
    name: str,
    block: PatternAttention,
    projected: list[int],
    op: str,
    ints: dict[str, int],
) -> int:
    """The context in float, of q before its factor, k and v in float.

    Near and far products quantize the same q, k and v, each with its own bits and scales.
    """
    ints["heads"] = block.n_heads
    floats = {}
    operands = []
    for part, prefix, scores, context in (
        ("near", "", block.scores, block.context),
        ("far", "far_", block.far_scores, block.far_context),
    ):
        of_prob, of_values = quantizers_of(context)
        quantizers = (*quantizers_of(scores), of_values)
        factors = (block.q_scale, 1.0, 1.0)
        for value, operand, quantizer, factor in zip(
            projected, OPERANDS, quantizers, factors, strict=True
        ):
            operand_name = f"{name}.{prefix}{operand}"
            width = block.out_proj.in_features
            operands.append(code_operand(program, value, operand_name, quantizer, width, factor))
        ints[f"{part}_prob_bits"] = of_prob.bits
        roles = ("q", "k", "v", "prob")
        for role, quantizer in zip(roles, (*quantizers, of_prob), strict=True):
            floats[f"{part}_{role}_scale"] = float(step_of(quantizer))
    return program.add(f"{op}_i8", operands, ints=ints, floats=floats)


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
