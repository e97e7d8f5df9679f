"""Lowers convolution modules of Conformer and Squeezeformer, and depthwise convolutions."""

from __future__ import annotations

from dataclasses import replace

from earbit.export.codes import code_product
from earbit.export.leaves import (
    activation,
    affine_of,
    float_weights,
    input_binarizer,
    input_bits,
    is_binary,
    lower_linear,
    scale_and_bias,
)
from earbit.export.plain import BinaryProduct, PlainProgram, of_module
from earbit.nn.convolution_module import GatedConvolution, UngatedConvolution
from earbit.nn.leaves import Conv1d
from earbit.nn.precision import W1A1
from earbit.quantize.leaves import QuantizedConv1d


@of_module
def lower_gated_convolution(
    program: PlainProgram, name: str, block: GatedConvolution, value: int
) -> int:
    """Lowers pointwise, gate, depthwise, batch norm, pointwise."""
    value = input_bits(program, f"{name}.expand", block.expand, value)
    value = lower_linear(program, f"{name}.expand", block.expand, value)
    return _depthwise_and_project(program, name, block, program.add("glu", [value]))


@of_module
def lower_ungated_convolution(
    program: PlainProgram, name: str, block: UngatedConvolution, value: int
) -> int:
    """Lowers pointwise, depthwise, batch norm, pointwise; the latter leaves have activations."""
    value = input_bits(program, f"{name}.expand", block.expand, value)
    value = lower_linear(program, f"{name}.expand", block.expand, value)
    return _depthwise_and_project(program, name, block, value)


def _depthwise_and_project(
    program: PlainProgram, name: str, block: GatedConvolution | UngatedConvolution, value: int
) -> int:
    leaf = block.depthwise
    value = _depthwise_input(program, f"{name}.depthwise", leaf, value)
    pad = int(leaf.padding[0])
    value = lower_depthwise(program, f"{name}.depthwise", leaf, value, pad_right=pad)
    value = program.add_affine(value, affine_of(block.norm))
    value = input_bits(program, f"{name}.project", block.project, value)
    return lower_linear(program, f"{name}.project", block.project, value)


@of_module
def _depthwise_input(program: PlainProgram, name: str, leaf: Conv1d, value: int) -> int:
    if not is_binary(name, leaf):
        return input_bits(program, name, leaf, value)
    # Unlike in other convolutions, the bits of all groups, which are channels, are adjacent.
    return program.binarize(value, replace(input_binarizer(name, leaf), n_groups=1))


@of_module
def lower_depthwise(
    program: PlainProgram, name: str, leaf: Conv1d, value: int, *, pad_right: int
) -> int:
    """Lowers a depthwise convolution.

    value: floats, or the bits or codes of a quantized leaf.
    """
    assert leaf.groups == leaf.in_channels == leaf.out_channels
    ints = {
        "kernel": leaf.kernel_size[0],
        "stride": leaf.stride[0],
        "pad_left": int(leaf.padding[0]),
        "pad_right": pad_right,
    }
    if leaf.precision == W1A1:
        return _binary_depthwise(program, leaf, value, ints)
    if isinstance(leaf, QuantizedConv1d):
        scale, bias = scale_and_bias(leaf)
        return code_product(program, name, "depthwise", leaf, value, ints, scale, bias)
    value = activation(program, value, leaf.input_activation)
    return program.add("depthwise_f32", [value], ints=ints, tensors=float_weights(leaf))


def _binary_depthwise(program: PlainProgram, leaf: Conv1d, value: int, ints: dict[str, int]) -> int:
    assert isinstance(leaf, QuantizedConv1d)
    assert leaf.input_quantizer is not None
    ints = {**ints, "unsigned": int(leaf.input_quantizer.number_set == "unsigned")}
    scale, bias = scale_and_bias(leaf)
    weight = leaf.weight[:, 0]
    product = BinaryProduct(ints["kernel"], scale, bias, weight, folds_first=False)
    return program.add("depthwise_b1", [value], ints=ints, product=product)
