"""Rewrites plain ops to the ops of the runtime: thresholds, affine folds and packs.

  product, affine                        ->  product with another scale and bias, or other weights
  binary product [, affine], binarize    ->  binary product with integer thresholds
  convolution of one channel, group norm over its frames, binarize  ->  waveform_bits
  affine alone                           ->  depthwise convolution of one frame
  binarize alone                         ->  pack

A value that another op reads, or that is a hidden state, is kept.  Results are the same up to the
rounding of folded maps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from earbit.export.arrays import pack_weight
from earbit.export.plain import (
    AFFINE,
    BINARIZE,
    Affine,
    Binarizer,
    BinaryProduct,
    PlainOp,
    PlainProgram,
)
from earbit.export.program import WAVEFORM, Program
from earbit.export.thresholds import float_threshold, integer_threshold

FLOAT_PRODUCTS = ("conv_f32", "depthwise_f32")
CODE_PRODUCTS = ("gemm_i8", "conv_i8", "depthwise_i8", "gemm_planes", "conv_planes")
MAX_TAPS = 32
"""Longest convolution of `waveform_bits`."""


def fuse(plain: PlainProgram) -> Program:
    """The program of a plain program."""
    return _Fusion(plain).program()


class _Fusion:
    def __init__(self, plain: PlainProgram) -> None:
        self._plain = plain
        self._ops: list[PlainOp | None] = list(plain.ops)
        self._value = list(range(len(plain.ops) + 1))
        """The value that is computed in the place of a value."""
        self._n_readers = Counter(value for op in plain.ops for value in op.inputs)
        self._n_readers.update(plain.outputs)
        for i, op in enumerate(plain.ops):
            if op.op == AFFINE:
                self._fuse_affine(i, op)
            elif op.op == BINARIZE:
                self._fuse_binarizer(i, op)

    def program(self) -> Program:
        program = Program()
        new_values = {WAVEFORM: WAVEFORM}
        for i, op in enumerate(self._ops):
            if op is None:
                continue
            final = _finished(op)
            new_values[i + 1] = program.add(
                final.op,
                [new_values[self._value[value]] for value in final.inputs],
                ints=final.ints,
                floats=final.floats,
                tensors=final.tensors,
                module=op.module,
            )
            if op.binarizer is not None:
                program.bits[op.binarizer.leaf_name] = new_values[i + 1]
            if i + 1 in self._plain.codes:
                program.bits[self._plain.codes[i + 1]] = new_values[i + 1]
        program.outputs = [new_values[self._value[value]] for value in self._plain.outputs]
        return program

    def _only_made_by(self, value: int) -> tuple[int, PlainOp | None]:
        """The op that makes a value which nothing else reads, and its index."""
        made = self._value[value]
        if made == WAVEFORM or self._n_readers[value] > 1:
            return -1, None
        return made - 1, self._ops[made - 1]

    def _join(self, i: int, at: int, op: PlainOp) -> None:
        """Puts an op at the place `at` of one that it contains, instead of op i."""
        self._ops[at] = op
        self._ops[i] = None
        self._value[i + 1] = at + 1

    def _fuse_affine(self, i: int, op: PlainOp) -> None:
        assert op.affine is not None
        at, made = self._only_made_by(op.inputs[0])
        folded = None if made is None else _folded(made, op.affine)
        if folded is not None:
            self._join(i, at, folded)

    def _fuse_binarizer(self, i: int, op: PlainOp) -> None:
        assert op.binarizer is not None
        at, made = self._only_made_by(op.inputs[0])
        if made is None:
            return
        if made.product is not None and made.ints.get("groups", 1) == 1:
            self._join(i, at, replace(made, binarizer=op.binarizer))
        elif made.op == "group_norm" and op.binarizer.n_groups == 1:
            first, conv = self._only_made_by(made.inputs[0])
            if conv is not None and _is_of_samples(conv):
                self._join(i, first, _waveform_bits(conv, made, op.binarizer))
                self._ops[at] = None


def _folded(op: PlainOp, affine: Affine) -> PlainOp | None:
    """A product with an affine map behind it; None for an op that cannot hold one."""
    gain, offset, tensors = affine.gain, affine.offset, op.tensors
    if op.op in FLOAT_PRODUCTS:
        bias = tensors.get("bias", np.float32(0)) * gain + offset
        return replace(op, tensors={"weight": tensors["weight"] * gain[:, None], "bias": bias})
    if op.op in CODE_PRODUCTS:
        scale, bias = tensors["scale"] * gain, tensors["bias"] * gain + offset
        return replace(op, tensors=tensors | {"scale": scale, "bias": bias})
    if op.product is not None and op.product.bias is not None and op.product.affine is None:
        return replace(op, product=replace(op.product, affine=affine))
    return None


def _is_of_samples(conv: PlainOp) -> bool:
    ints = conv.ints
    return (
        conv.op == "conv_f32"
        and ints["pad_left"] == ints["pad_right"] == 0
        and conv.tensors["weight"].shape[1] == ints["kernel"] <= MAX_TAPS
    )


def _waveform_bits(conv: PlainOp, norm: PlainOp, binarizer: Binarizer) -> PlainOp:
    """Bits of a normalised convolution of the waveform, whose bias the norm cancels."""
    tensors = {
        "weight": conv.tensors["weight"],
        "norm_weight": norm.tensors["weight"],
        "norm_bias": norm.tensors["bias"],
        "threshold": float_threshold(binarizer.bits, binarizer.n_channels),
    }
    ints = {"kernel": conv.ints["kernel"], "stride": conv.ints["stride"]}
    return PlainOp(
        "waveform_bits", conv.inputs, ints, {"eps": norm.floats["eps"]}, tensors,
        binarizer=binarizer, module=conv.module,
    )  # fmt: skip


def _finished(op: PlainOp) -> PlainOp:
    """An op of the runtime with all of its tensors."""
    if op.op == AFFINE:
        assert op.affine is not None
        ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0}
        tensors = {"weight": op.affine.gain[:, None], "bias": op.affine.offset}
        return PlainOp("depthwise_f32", op.inputs, ints, {}, tensors)
    if op.op == BINARIZE:
        assert op.binarizer is not None
        threshold = float_threshold(op.binarizer.bits, op.binarizer.n_channels)
        ints = {"groups": op.binarizer.n_groups}
        return PlainOp("pack", op.inputs, ints, {}, {"threshold": threshold})
    if op.product is None:
        return op
    if op.binarizer is None:
        return _with_floats(op, op.product)
    return _with_thresholds(op, op.product, op.binarizer)


def _with_floats(op: PlainOp, product: BinaryProduct) -> PlainOp:
    if product.bias is None:
        return replace(op, floats=op.floats | {"scale": float(product.scale)})
    scale, bias = _scale_and_bias(product)
    assert product.weight is not None
    tensors = {"weight": pack_weight(product.weight), "scale": scale, "bias": bias}
    return replace(op, tensors=tensors)


def _with_thresholds(op: PlainOp, product: BinaryProduct, binarizer: Binarizer) -> PlainOp:
    # Thresholds require increasing functions of the product; a norm may invert an output.
    scale, bias, affine = np.asarray(product.scale), product.bias, product.affine
    sign = np.ones_like(scale)
    tensors = {}
    if bias is not None:
        if product.folds_first:
            scale, bias = _scale_and_bias(product)
            affine = None
        inverts = np.asarray(scale if affine is None else affine.gain) < 0
        sign = np.where(inverts, np.float32(-1), np.float32(1))
        assert product.weight is not None
        tensors["weight"] = pack_weight(product.weight, sign)

    def of_product(dot: np.ndarray) -> np.ndarray:
        y: np.ndarray = scale * (sign * dot.astype(np.float32))
        if bias is not None:
            y = y + bias
        return y if affine is None else y * affine.gain + affine.offset

    tensors["threshold"] = integer_threshold(
        binarizer.bits, of_product, product.n_bits, binarizer.n_channels
    )
    ints = dict(op.ints)
    if "out_groups" in ints:
        ints["out_groups"] = binarizer.n_groups
    return replace(op, ints=ints, tensors=tensors)


def _scale_and_bias(product: BinaryProduct) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias of a product with its affine map."""
    scale, bias = np.asarray(product.scale), product.bias
    assert bias is not None
    if product.affine is not None:
        scale, bias = (
            scale * product.affine.gain,
            bias * product.affine.gain + product.affine.offset,
        )
    return scale, bias
