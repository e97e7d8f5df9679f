"""The pass that makes thresholds, affine folds and packs: what it joins, and what it leaves."""

import numpy as np
import pytest
import torch

from earbit.export.arrays import pack_weight
from earbit.export.fuse import fuse
from earbit.export.plain import Affine, Binarizer, BinaryProduct, PlainProgram
from earbit.export.program import WAVEFORM
from earbit.export.thresholds import signed_bits

WINDOW = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0}
PLAIN = {**WINDOW, "groups": 1}
B1 = {**PLAIN, "unsigned": 0, "out_groups": 1}
N = 3


def vector(*numbers):
    return np.array(numbers, np.float32)


def affine():
    return Affine(vector(2, -1, 0.5), vector(1, 0, -3))


def binarizer(name="leaf", n_groups=1):
    return Binarizer(name, signed_bits(vector(0.25, -1, 4)), N, n_groups)


def float_product(program, value=WAVEFORM):
    tensors = {"weight": np.ones((N, 1), np.float32), "bias": vector(1, 2, 3)}
    return program.add("conv_f32", [value], ints=PLAIN, tensors=tensors)


def binary_product(program, folds_first=True):
    bits = program.binarize(float_product(program), binarizer("input"))
    weight = torch.tensor([[1.0, -1, 1], [-1, -1, 1], [1, 1, 1]])
    product = BinaryProduct(
        3, vector(0.5, 0.25, 2), vector(0.1, -0.2, 0.3), weight, folds_first=folds_first
    )
    return program.add("gemm_b1", [bits], ints=B1, product=product), product


def ops_of(program, *outputs):
    program.outputs = list(outputs)
    fused = fuse(program)
    return fused, [op["op"] for op in fused.ops]


def tensors_of(fused, i):
    return {role: fused.tensors[name] for role, name in fused.ops[i]["tensors"].items()}


def test_an_affine_map_is_folded_into_the_product_before_it():
    program = PlainProgram()
    value = program.add_affine(float_product(program), affine())
    fused, ops = ops_of(program, value)
    assert ops == ["conv_f32"]
    tensors = tensors_of(fused, 0)
    assert tensors["weight"].ravel().tolist() == [2, -1, 0.5]
    assert tensors["bias"].tolist() == [1 * 2 + 1, -2, 3 * 0.5 - 3]
    assert fused.outputs == [1]


@pytest.mark.parametrize("other", ["reader", "output"])
def test_a_product_that_something_else_reads_is_kept_before_an_affine_map(other):
    program = PlainProgram()
    made = float_product(program)
    value = program.add_affine(made, affine())
    outputs = [value, program.add("relu", [made])] if other == "reader" else [made, value]
    fused, ops = ops_of(program, *outputs)
    assert ops[:2] == ["conv_f32", "depthwise_f32"]
    tensors = tensors_of(fused, 1)
    assert tensors["weight"].tolist() == [[2], [-1], [0.5]]
    assert tensors["bias"].tolist() == [1, 0, -3]
    assert fused.ops[1]["ints"] == WINDOW


@pytest.mark.parametrize("maps", [0, 1])
@pytest.mark.parametrize("folds_first", [True, False])
def test_thresholds_of_a_binary_product_are_the_bits_of_its_floats(maps, folds_first):
    program = PlainProgram()
    value, product = binary_product(program, folds_first)
    if maps:
        value = program.add_affine(value, affine())
    fused, ops = ops_of(program, program.binarize(value, binarizer(n_groups=3)))
    assert ops == ["conv_f32", "pack", "gemm_b1"]
    assert fused.bits == {"input": 2, "leaf": 3}
    assert fused.ops[2]["ints"]["out_groups"] == 3
    tensors = tensors_of(fused, 2)
    sign = vector(1, -1, 1) if maps else vector(1, 1, 1)
    assert np.array_equal(tensors["weight"], pack_weight(product.weight, sign))
    for dot in (-3, -1, 1, 3):
        y = product.scale * dot + product.bias
        if maps:
            y = y * affine().gain + affine().offset
        expected = binarizer().bits(y.astype(np.float32))
        assert np.array_equal(sign * dot >= tensors["threshold"], expected)


def test_a_binary_product_that_something_else_reads_stays_in_floats():
    program = PlainProgram()
    value, product = binary_product(program)
    fused, ops = ops_of(program, value, program.binarize(value, binarizer()))
    assert ops == ["conv_f32", "pack", "gemm_b1", "pack"]
    tensors = tensors_of(fused, 2)
    assert np.array_equal(tensors["scale"], product.scale)
    assert np.array_equal(tensors["bias"], product.bias)
    assert fused.bits == {"input": 2, "leaf": 4}


def test_grouped_products_have_no_thresholds():
    program = PlainProgram()
    value, product = binary_product(program)
    value = program.add(
        "conv_b1",
        [program.binarize(value, binarizer("groups", 3))],
        ints={**B1, "groups": 3},
        product=product,
    )
    _, ops = ops_of(program, program.binarize(value, binarizer()))
    assert ops == ["conv_f32", "pack", "gemm_b1", "conv_b1", "pack"]


def test_a_product_of_activations_has_thresholds_of_its_scale():
    program = PlainProgram()
    bits = program.binarize(float_product(program), binarizer("input"))
    floats = {"score_scale": 0.5, "prob_half": 0.25}
    ints = {"head_dim": 3, "radius": -1}
    product = BinaryProduct(100, np.float32(0.5))
    seen = program.add("attention_b1", [bits] * 3, ints=ints, floats=floats, product=product)
    fused, ops = ops_of(program, program.binarize(seen, binarizer()))
    assert ops == ["conv_f32", "pack", "attention_b1"]
    # dot / 2 + shift >= 0 for the shifts 1/4, -1 and 4.
    assert tensors_of(fused, 2)["threshold"].tolist() == [0, 2, -8]
    alone = PlainProgram()
    alone.ops = program.ops[:-1]
    fused, _ = ops_of(alone, seen)
    assert fused.ops[2]["floats"] == {**floats, "scale": 0.5}


@pytest.mark.parametrize("is_read", [False, True])
def test_the_first_layer_becomes_one_op_unless_its_floats_are_read(is_read):
    program = PlainProgram()
    ints = {**PLAIN, "kernel": 10, "stride": 5}
    weight = np.arange(30, dtype=np.float32).reshape(3, 10)
    conv = program.add("conv_f32", [WAVEFORM], ints=ints, tensors={"weight": weight})
    norm = {"weight": vector(1, 2, 3), "bias": vector(4, 5, 6)}
    value = program.add("group_norm", [conv], floats={"eps": 0.5}, tensors=norm)
    bits = program.binarize(value, binarizer())
    fused, ops = ops_of(program, bits, *([value] if is_read else []))
    if is_read:
        assert ops == ["conv_f32", "group_norm", "pack"]
        return
    assert ops == ["waveform_bits"]
    assert fused.ops[0]["ints"] == {"kernel": 10, "stride": 5}
    assert fused.ops[0]["floats"] == {"eps": 0.5}
    tensors = tensors_of(fused, 0)
    assert np.array_equal(tensors["weight"], weight)
    assert tensors["norm_bias"].tolist() == [4, 5, 6]
    assert tensors["threshold"].tolist() == [-0.25, 1, -4]
    assert fused.bits == {"leaf": 1}
