"""Lowers convolution modules of Conformer and Squeezeformer, and depthwise convolutions.

The batch norm after a depthwise convolution is folded into its scale and bias, or into its integer
thresholds if a binary leaf follows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from earbit.export.arrays import pack_weight
from earbit.export.codes import code_product
from earbit.export.leaves import (
    Affine,
    Binarizer,
    activation,
    affine_of,
    array,
    float_weights,
    input_bits,
    lower_linear,
    next_binarizer,
    pack,
    product_bits,
    scale_and_bias,
    step_of,
)
from earbit.export.program import Program
from earbit.nn.convolution_module import GatedConvolution, UngatedConvolution
from earbit.nn.leaves import Conv1d
from earbit.nn.precision import W1A1
from earbit.quantize.leaves import QuantizedConv1d
from earbit.quantize.weights import weight_scale


def lower_gated_convolution(
    program: Program, name: str, block: GatedConvolution, value: int
) -> int:
    """Lowers pointwise, gate, depthwise, batch norm, pointwise."""
    value = input_bits(program, f"{name}.expand", block.expand, value)
    value = lower_linear(program, f"{name}.expand", block.expand, value)
    value = program.add("glu", [value])
    value = _depthwise_input(program, f"{name}.depthwise", block.depthwise, value)
    return _depthwise_and_project(program, name, block, value)


def lower_ungated_convolution(
    program: Program, name: str, block: UngatedConvolution, value: int
) -> int:
    """Lowers pointwise, depthwise, batch norm, pointwise; the latter leaves have activations."""
    value = input_bits(program, f"{name}.expand", block.expand, value)
    then = _depthwise_binarizer(f"{name}.depthwise", block.depthwise)
    value = lower_linear(program, f"{name}.expand", block.expand, value, then=then)
    if then is None:
        value = _depthwise_input(program, f"{name}.depthwise", block.depthwise, value)
    return _depthwise_and_project(program, name, block, value)


def _depthwise_and_project(
    program: Program, name: str, block: GatedConvolution | UngatedConvolution, value: int
) -> int:
    then = next_binarizer(f"{name}.project", block.project)
    value = lower_depthwise(
        program,
        f"{name}.depthwise",
        block.depthwise,
        value,
        pad_right=int(block.depthwise.padding[0]),
        affine=affine_of(block.norm),
        then=then,
    )
    if then is None:
        value = input_bits(program, f"{name}.project", block.project, value)
    return lower_linear(program, f"{name}.project", block.project, value)


def _depthwise_binarizer(name: str, leaf: Conv1d) -> Binarizer | None:
    then = next_binarizer(name, leaf)
    # Unlike in other convolutions, the bits of all groups, which are channels, are adjacent.
    return None if then is None else replace(then, n_groups=1)


def _depthwise_input(program: Program, name: str, leaf: Conv1d, value: int) -> int:
    then = _depthwise_binarizer(name, leaf)
    return input_bits(program, name, leaf, value) if then is None else pack(program, value, then)


def lower_depthwise(
    program: Program,
    name: str,
    leaf: Conv1d,
    value: int,
    *,
    pad_right: int,
    affine: Affine | None = None,
    then: Binarizer | None = None,
) -> int:
    """Lowers a depthwise convolution; with `then`, to the bits of its output.

    value: floats, or the bits or codes of a quantized leaf;  affine: applied to the output.
    """
    assert leaf.groups == leaf.in_channels == leaf.out_channels
    ints = {
        "kernel": leaf.kernel_size[0],
        "stride": leaf.stride[0],
        "pad_left": int(leaf.padding[0]),
        "pad_right": pad_right,
    }
    if leaf.precision == W1A1:
        return _binary_depthwise(program, leaf, value, ints, affine, then)
    if isinstance(leaf, QuantizedConv1d):
        scale, bias = scale_and_bias(leaf, affine)
        value = code_product(program, name, "depthwise", leaf, value, ints, scale, bias)
        return value if then is None else pack(program, value, then)
    value = activation(program, value, leaf.input_activation)
    tensors = float_weights(leaf, affine)
    value = program.add("depthwise_f32", [value], ints=ints, tensors=tensors)
    return value if then is None else pack(program, value, then)


def _binary_depthwise(
    program: Program,
    leaf: Conv1d,
    value: int,
    ints: dict[str, int],
    affine: Affine | None,
    then: Binarizer | None,
) -> int:
    assert isinstance(leaf, QuantizedConv1d)
    assert leaf.input_quantizer is not None
    ints = {**ints, "unsigned": int(leaf.input_quantizer.number_set == "unsigned")}
    scale = array(weight_scale(leaf.weight, leaf.granularity)).reshape(-1)
    scale = scale * step_of(leaf.input_quantizer)
    bias = np.zeros_like(scale) if leaf.bias is None else array(leaf.bias)
    if affine is None:
        affine = Affine(np.ones_like(scale), np.zeros_like(scale))
    if then is None:
        tensors = {
            "weight": pack_weight(leaf.weight[:, 0]),
            "scale": scale * affine.gain,
            "bias": bias * affine.gain + affine.offset,
        }
        return program.add("depthwise_b1", [value], ints=ints, tensors=tensors)
    # Thresholds require increasing functions of the product; the norm may invert a channel.
    sign = np.where(affine.gain < 0, np.float32(-1), np.float32(1))
    thresholds = product_bits(
        then,
        ints["kernel"],
        lambda dot: (scale * (sign * dot.astype(np.float32)) + bias) * affine.gain + affine.offset,
    )
    tensors = {"weight": pack_weight(leaf.weight[:, 0], sign), "threshold": thresholds}
    made = program.add("depthwise_b1", [value], ints=ints, tensors=tensors)
    program.bits[then.leaf_name] = made
    return made
