"""Lowers the heads of tasks: ops that make scores of hidden states.

A linear layer of two halves of its input, such as the two directions of an LSTM, is the sum of two
products, so halves are never copied side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from earbit.export.arrays import array
from earbit.export.program import Program
from earbit.heads.head import Head
from earbit.heads.linear import FrameLinear, LinearHead, MeanPoolLinear
from earbit.heads.recurrent import Blstm, FrameLstm
from earbit.heads.xvector import CONTEXTS, VARIANCE_FLOOR, XVector
from earbit.nn.leaves import Linear

PRODUCT = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
DIRECTIONS = ("", "_reverse")


def _mean_pool_linear(program: Program, module: MeanPoolLinear) -> int:
    # Means are taken first, which leaves one row per state.
    means = [program.add("mean_frames", [state]) for state in program.outputs]
    return _two_linears(program, module, _mixed(program, module, means))


def _frame_linear(program: Program, module: FrameLinear) -> int:
    return _two_linears(program, module, _mixed(program, module, program.outputs))


def _blstm(program: Program, module: Blstm) -> int:
    first = _linear(program, _mixed(program, module, program.outputs), module.projection)
    halves = [first]
    for layer in range(module.lstm.num_layers):
        halves = [_lstm(program, module.lstm, halves, layer, d) for d in DIRECTIONS]
    return _product(program, halves, array(module.output.weight), _bias(module.output))


def _frame_lstm(program: Program, module: FrameLstm) -> int:
    mixed = _mixed(program, module, program.outputs)
    return _linear(program, _lstm(program, module.lstm, [mixed], 0, ""), module.output)


def _xvector(program: Program, module: XVector) -> int:
    x = _linear(program, _mixed(program, module, program.outputs), module.projection)
    for conv, (kernel, dilation) in zip(module.context, CONTEXTS, strict=True):
        assert isinstance(conv, torch.nn.Conv1d)
        assert conv.bias is not None
        weight = array(conv.weight).transpose(0, 2, 1)  # (out, tap, in)
        spread = np.zeros((len(weight), (kernel - 1) * dilation + 1, weight.shape[2]), np.float32)
        spread[:, ::dilation] = weight
        tensors = {"weight": spread.reshape(len(weight), -1), "bias": array(conv.bias)}
        ints = {**PRODUCT, "kernel": spread.shape[1]}
        x = program.add("relu", [program.add("conv_f32", [x], ints=ints, tensors=tensors)])
    mean = program.add("mean_frames", [x])
    deviation = program.add("deviation_frames", [x], floats={"eps": VARIANCE_FLOOR})
    weight = array(module.embedding.weight)
    y = _product(program, [mean, deviation], weight, _bias(module.embedding))
    return program.add("relu", [y])


def _mixed(program: Program, module: Head, states: list[int]) -> int:
    weight = {"weight": array(torch.softmax(module.layers.logits, dim=0))}
    return program.add("weighted_sum", states, tensors=weight)


def _two_linears(program: Program, module: LinearHead, x: int) -> int:
    """One product for two linear layers in a row, computed in float64."""
    weight = array(module.output.weight).astype(np.float64)
    bias = weight @ _bias(module.projection) + _bias(module.output)
    product = (weight @ array(module.projection.weight)).astype(np.float32)
    return _product(program, [x], product, bias.astype(np.float32))


def _linear(program: Program, x: int, layer: Linear) -> int:
    return _product(program, [x], array(layer.weight), _bias(layer))


def _product(program: Program, parts: list[int], weight: np.ndarray, bias: np.ndarray) -> int:
    """Computes weight x parts + bias, where the columns of the parts follow each other."""
    total = None
    for i, (part, columns) in enumerate(
        zip(parts, np.split(weight, len(parts), axis=1), strict=True)
    ):
        tensors = {"weight": columns} if i else {"weight": columns, "bias": bias}
        y = program.add("conv_f32", [part], ints=PRODUCT, tensors=tensors)
        total = y if total is None else program.add("add", [total, y])
    assert total is not None
    return total


def _lstm(
    program: Program, lstm: torch.nn.LSTM, parts: list[int], layer: int, direction: str
) -> int:
    """One direction of one layer; the gates of all frames are one product."""
    weight, recurrent, bias, recurrent_bias = (
        array(getattr(lstm, f"{name}_l{layer}{direction}"))
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    gates = _product(program, parts, weight, bias + recurrent_bias)
    ints = {"reverse": int(direction != "")}
    return program.add("lstm", [gates], ints=ints, tensors={"weight": recurrent})


def _bias(layer: Linear) -> np.ndarray:
    assert layer.bias is not None
    return array(layer.bias)


LOWERINGS: dict[type[Head], Callable[[Program, Any], int]] = {
    MeanPoolLinear: _mean_pool_linear,
    FrameLinear: _frame_linear,
    Blstm: _blstm,
    FrameLstm: _frame_lstm,
    XVector: _xvector,
}
"""Functions that append the ops of a head and return the value of its scores."""
