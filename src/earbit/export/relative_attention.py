"""Lowers attention with relative positions, in float, in one bit or on codes."""

from __future__ import annotations

import math

import numpy as np
import torch

from earbit.export.attention import context_of_bits, operands_of, product_scale
from earbit.export.code_attention import relative_code_attention
from earbit.export.leaves import array, input_bits, lower_linear
from earbit.export.plain import Binarizer, PlainProgram, of_module
from earbit.export.thresholds import Bits, Floats, signed_bits
from earbit.nn.relative_attention import RelativeAttention


def lower_distances(program: PlainProgram, value: int, d_model: int) -> int:
    """Sinusoids of all distances between frames of a value, for all layers of its rate."""
    # Equal to `relative_positions`, since another rounding would grow with the distance.
    step = torch.arange(0, d_model, 2).float()
    frequency = torch.exp(step * (-math.log(10_000.0) / d_model))
    return program.add(
        "sinusoids", [value], ints={"columns": d_model}, tensors={"frequency": array(frequency)}
    )


@of_module
def lower_relative_attention(
    program: PlainProgram, name: str, block: RelativeAttention, value: int, distances: int
) -> int:
    """Lowers full attention; distances: result of `lower_distances` for values of this rate."""
    kind = operands_of(name, block, "scores", "position_scores", "context")
    n_heads, width = block.n_heads, block.out_proj.in_features
    zero = np.zeros(width, np.float32)
    projected = []
    for role, leaf, read, operand in (
        ("q_proj", block.q_proj, value, None),
        ("k_proj", block.k_proj, value, "scores.right"),
        ("v_proj", block.v_proj, value, "context.right"),
        ("position_proj", block.position_proj, distances, "position_scores.right"),
    ):
        read = input_bits(program, f"{name}.{role}", leaf, read)
        made = lower_linear(program, f"{name}.{role}", leaf, read)
        if kind == "bits" and operand is not None:
            bits = Binarizer(f"{name}.{operand}", signed_bits(zero), width, n_heads)
            made = program.binarize(made, bits)
        projected.append(made)
    match kind:
        case "bits":
            context = _binary_attention(program, name, block, projected)
        case "codes":
            context = relative_code_attention(program, name, block, projected)
        case "floats":
            content_bias, position_bias = _biases(block)
            q, k, v, r = projected
            context = program.add(
                "relative_attention_f32",
                [q, k, v, r],
                ints={"heads": n_heads},
                floats={"score_scale": float(np.float32(block.q_scale))},
                tensors={"content_bias": content_bias, "position_bias": position_bias},
            )
    context = input_bits(program, f"{name}.out_proj", block.out_proj, context)
    return lower_linear(program, f"{name}.out_proj", block.out_proj, context)


def _binary_attention(
    program: PlainProgram, name: str, block: RelativeAttention, projected: list[int]
) -> int:
    q, k, v, r = projected
    n_heads, width = block.n_heads, block.out_proj.in_features
    queries = []
    for operand, bias in zip(("scores", "position_scores"), _biases(block), strict=True):
        bits = _query_bits(bias, block.q_scale)
        binarizer = Binarizer(f"{name}.{operand}.left", bits, width, n_heads)
        queries.append(program.binarize(q, binarizer))
    floats = {
        "content_scale": product_scale(block.scores),
        "position_scale": product_scale(block.position_scores),
    }
    operands = [*queries, k, r, v]
    return context_of_bits(program, "relative_attention_b1", name, block, operands, {}, floats)


def _biases(block: RelativeAttention) -> tuple[np.ndarray, np.ndarray]:
    return array(block.content_bias).reshape(-1), array(block.position_bias).reshape(-1)


def _query_bits(bias: Floats, q_scale: float) -> Bits:
    scale = np.float32(q_scale)
    return lambda x: (x + bias) * scale >= np.float32(0)
