"""Ops on codes, judged by integer arithmetic of numpy and by the quantizers of training."""

import numpy as np
import pytest
import torch
from packed_reference import (
    PLAIN,
    codes_of_bits,
    float_rows,
    packed,
    quantized_rows,
    windows,
)

from earbit import _core
from earbit.quantize.codes import code_range, codes_of

SETS = [(bits, number_set) for bits in (1, 2, 4, 8) for number_set in ("signed", "unsigned")]
MANY = [s for s in SETS if s[0] > 1]
NAMES = ("kernel", "stride", "pad_left", "pad_right", "groups")


@pytest.mark.parametrize("factor", [1.0, 0.16666667])
@pytest.mark.parametrize(("bits", "number_set"), MANY)
def test_codes_are_those_of_training_to_the_last_bit(bits, number_set, factor):
    random = np.random.default_rng(bits)
    x = random.normal(0, 3, (400, 37)).astype(np.float32)
    x[:50] = np.round(x[:50] * 4) / 8
    x[50] = 0.0
    x[51], x[52] = -3e38, 3e38
    shift = random.normal(0, 0.3, 37).astype(np.float32)
    shift[::3] = 0.25
    scale = np.float32(0.5 if factor == 1.0 else 0.0713)
    program = _core.Program()
    floats = {"scale": float(scale), "factor": float(np.float32(factor))}
    ints = {"bits": bits, "unsigned": int(number_set == "unsigned")}
    rows = float_rows(program, 37)
    value = program.add("quantize", [rows], ints, floats, {"shift": shift})
    (codes,) = program.run(x.ravel(), [value], 1)
    shifted = torch.from_numpy(x) * factor + torch.from_numpy(shift)
    expected = codes_of(shifted, torch.tensor(scale), bits, number_set).numpy()
    low, high = code_range(bits, number_set)
    assert codes.dtype == np.uint8
    assert np.array_equal(codes.astype(int) + low, expected)
    assert {codes.min(), codes.max()} == {0, high - low}, "both ends are reached"


@pytest.mark.parametrize(("x", "code"), [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2)])
def test_halves_go_to_the_even_code(x, code):
    program = _core.Program()
    ints, floats = {"bits": 4, "unsigned": 0}, {"scale": 1.0, "factor": 1.0}
    value = program.add("quantize", [0], ints, floats, {"shift": np.zeros(1, np.float32)})
    assert program.run(np.full(3, x, np.float32), [value], 1)[0].tolist() == [[code + 8]] * 3


@pytest.mark.parametrize(("n_cols", "n_groups"), [(1, 1), (65, 1), (192, 3), (70, 2)])
def test_unpacked_bits_are_codes_of_one_bit(n_cols, n_groups):
    bits = np.random.default_rng(1).random((29, n_cols)) < 0.5
    program = _core.Program()
    value = codes_of_bits(program, n_cols, n_groups)
    (codes,) = program.run(np.where(bits, 1.0, -1.0).astype(np.float32).ravel(), [value], 2)
    assert codes.dtype == np.uint8
    assert np.array_equal(codes, bits)


PRODUCTS = [
    # rows, channels, outputs, kernel, stride, pad_left, pad_right, groups
    (1, 1, 1, 1, 1, 0, 0, 1),
    (31, 63, 65, 1, 1, 0, 0, 1),
    (13, 768, 192, 1, 1, 0, 0, 1),
    (40, 65, 33, 3, 2, 0, 0, 1),
    (41, 128, 70, 2, 2, 0, 0, 1),
    (29, 6, 96, 7, 3, 3, 2, 1),
    (50, 96, 96, 8, 1, 4, 3, 2),
    (27, 30, 15, 5, 1, 2, 2, 15),
    (9, 36, 12, 12, 1, 6, 5, 3),
]


def whole_codes(random, bits, number_set, shape):
    """Codes of a set, the ends often among them."""
    low, high = code_range(bits, number_set)
    codes = random.integers(low, high + 1, shape)
    if bits == 1:
        codes[codes == 0] = low
    return np.where(random.random(shape) < 0.2, random.choice([low, high], shape), codes)


def padding_code(bits, number_set):
    return code_range(bits, number_set)[0] if bits == 1 else 0


def dots(x, weight, bits, number_set, ints):
    """Integer products: x (rows, channels), weight (outputs, taps, channels of a group)."""
    found = []
    zero = padding_code(bits, number_set)
    for part, w in zip(
        np.split(x - zero, ints["groups"], axis=1), np.split(weight, ints["groups"]), strict=True
    ):
        seen = windows(part, ints["kernel"], ints["stride"], ints["pad_left"], ints["pad_right"])
        found.append(np.einsum("tkc,okc->to", seen + zero, w))
    return np.concatenate(found, axis=1)


def stored(weight, bits):
    """Weights (outputs, n) as bytes, said once more: code by code, bit by bit."""
    low = code_range(bits, "signed")[0]
    u = (weight > 0).astype(int) if bits == 1 else weight - low
    each = (u[..., None] >> np.arange(bits)) & 1
    return np.packbits(each.reshape(len(weight), -1), axis=1, bitorder="little")


def run_product(op, shape, input_set, weight_bits, threads=1):
    n_rows, n_in, n_out, *rest = shape
    ints = dict(zip(NAMES, rest, strict=True))
    random = np.random.default_rng(3)
    x = whole_codes(random, *input_set, (n_rows, n_in))
    n_taps = (ints["kernel"], n_in // ints["groups"])
    weight = whole_codes(random, weight_bits, "signed", (n_out, *n_taps))
    scale = random.random(n_out).astype(np.float32)
    bias = random.standard_normal(n_out).astype(np.float32)
    program = _core.Program()
    rows = quantized_rows(program, n_in, *input_set)
    tensors = {"scale": scale, "bias": bias}
    all_ints = dict(ints)
    if op.endswith("planes"):
        tensors["weight"] = packed(weight > 0).reshape(n_out, -1)
    else:
        all_ints["weight_bits"] = weight_bits
        tensors["weight"] = stored(weight.reshape(n_out, -1), weight_bits)
    value = program.add(op, [rows], all_ints, {}, tensors)
    wave = x if input_set != (1, "unsigned") else 2 * x - 1
    (y,) = program.run(wave.astype(np.float32).ravel(), [value], threads)
    found = dots(x, weight, *input_set, ints)
    # float32 multiplies, rounds, adds, rounds: no fused step
    return y, scale * found.astype(np.float32) + bias


@pytest.mark.parametrize("weight_bits", [1, 2, 4, 8])
@pytest.mark.parametrize("input_set", SETS, ids=str)
def test_8_bit_products_equal_numpy_to_the_last_bit(input_set, weight_bits):
    for shape in PRODUCTS:
        y, expected = run_product("conv_i8", shape, input_set, weight_bits, threads=2)
        assert np.array_equal(y, expected), shape


@pytest.mark.parametrize("input_set", MANY, ids=str)
def test_products_of_bit_planes_equal_numpy_to_the_last_bit(input_set):
    for shape in PRODUCTS:
        y, expected = run_product("conv_planes", shape, input_set, 1, threads=2)
        assert np.array_equal(y, expected), shape


def test_three_codes_by_hand():
    program = _core.Program()
    rows = quantized_rows(program, 3, 2, "signed")
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    # weights 1, -2, 0 in 2 bits: 3, 0, 2 above the lowest, the first in the lowest bits
    weight = np.array([[0b10_00_11]], np.uint8)
    tensors = {"weight": weight, "scale": one, "bias": zero}
    value = program.add("gemm_i8", [rows], PLAIN | {"weight_bits": 2}, {}, tensors)
    # 1 - 2 * -2 = 5; -2 + -2 + 0 = -4
    wave = np.array([1, -2, -1, -2, 1, 1], np.float32)
    assert program.run(wave, [value], 1)[0].tolist() == [[5.0], [-4.0]]


def product_of_width(program, n, input_bits, weight_bits):
    rows = quantized_rows(program, 1, input_bits, "signed")
    ints = {**PLAIN, "kernel": n, "weight_bits": weight_bits}
    weight = np.zeros((1, -(-n * weight_bits // 8)), np.uint8)
    one = np.ones(1, np.float32)
    return program.add("conv_i8", [rows], ints, {}, {"weight": weight, "scale": one, "bias": one})


def test_the_widest_window_is_exact_and_a_wider_one_is_refused_with_its_size():
    program = _core.Program()
    # All weights are -128, all inputs 127: the largest product that there is.
    value = product_of_width(program, 65_793, 8, 8)
    (y,) = program.run(np.full(65_793, 300, np.float32), [value], 1)
    assert y.tolist() == [[np.float32(-128 * 127 * 65_793) + np.float32(1)]]
    with pytest.raises(ValueError, match=r"65794 elements.*32 bits.*8-bit weights.*65793"):
        product_of_width(program, 65_794, 8, 8)
    product_of_width(program, 65_794, 4, 8)
    rows = quantized_rows(program, 16, 8, "unsigned")
    tensors = {"weight": np.zeros((1, 1), np.uint64)}
    with pytest.raises(ValueError, match=r"16777216 elements.*8-bit inputs.*8421504"):
        program.add("conv_planes", [rows], PLAIN | {"kernel": 2**20}, {}, tensors)
