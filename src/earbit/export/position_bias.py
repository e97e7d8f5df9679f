"""Lowers the gated position bias of attention, which stays in float under every plan."""

from __future__ import annotations

import numpy as np

from earbit.export.arrays import array
from earbit.export.plain import PlainProgram
from earbit.nn.gated_attention import PositionBias, PositionGate


def lower_distances(program: PlainProgram, value: int, bias: PositionBias) -> int:
    """The bias of all distances between frames of a value, for all layers: (2 T - 1, heads)."""
    radius = bias.max_distance
    table = array(bias.by_distance(radius + 1)).T
    return program.add(
        "distance_table",
        [value],
        ints={"columns": table.shape[1], "radius": radius},
        tensors={"table": np.ascontiguousarray(table)},
    )


def lower_gate(program: PlainProgram, gate: PositionGate, value: int) -> int:
    """The gate of every frame and head: (T, heads)."""
    constant = array(gate.constant)
    weight, bias = (array(tensor) for tensor in gate.folded())
    # Heads are groups with the same weights and two outputs each.
    n_heads = len(constant)
    ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": n_heads}
    tensors = {"weight": np.tile(weight, (n_heads, 1)), "bias": np.tile(bias, n_heads)}
    sums = program.add("conv_f32", [value], ints=ints, tensors=tensors)
    return program.add("position_gate", [sums], tensors={"constant": constant})
