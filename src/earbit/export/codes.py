"""Lowers products on codes of 1 to 8 bits, except 1-bit weights with 1-bit inputs.

The bits of a product determine its op: bit planes for 1-bit weights with inputs of 2 or 4 bits, and
8-bit integers otherwise.  1-bit inputs are always packed; 8-bit products unpack them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from earbit.errors import UnsupportedError
from earbit.export.arrays import array, pack_codes, pack_weight, step_of
from earbit.export.plain import PlainProgram
from earbit.quantize.codes import code_range
from earbit.quantize.leaves import QuantizedConv1d, QuantizedLinear
from earbit.quantize.quantizers import ActivationQuantizer

PLANE_BITS = (2, 4)
"""Input bits for bit planes with 1-bit weights; 8 planes are slower than 8-bit products."""


def quantize(
    program: PlainProgram,
    value: int,
    name: str,
    quantizer: ActivationQuantizer,
    n_channels: int,
    factor: float = 1.0,
) -> int:
    """Quantizes a float value times `factor` to codes of 2 bits or more, `name` in `verify`."""
    shift = quantizer.shift
    made = program.add(
        "quantize",
        [value],
        ints={"bits": quantizer.bits, "unsigned": int(quantizer.number_set == "unsigned")},
        floats={"scale": float(step_of(quantizer)), "factor": float(np.float32(factor))},
        tensors={"shift": np.zeros(n_channels, np.float32) if shift is None else array(shift)},
    )
    program.codes[made] = name
    return made


def unpack(program: PlainProgram, bits: int, quantizer: ActivationQuantizer) -> int:
    """Unpacks bits of a quantizer to codes, for ops that read only codes."""
    return program.add("unpack", [bits], ints={"unsigned": int(quantizer.number_set == "unsigned")})


def code_product(
    program: PlainProgram,
    name: str,
    kind: Literal["gemm", "conv", "depthwise"],
    leaf: QuantizedLinear | QuantizedConv1d,
    value: int,
    shape: dict[str, int],
    scale: np.ndarray,
    bias: np.ndarray,
) -> int:
    """Computes floats `scale * product + bias` from the codes or bits that a leaf reads.

    scale, bias: float32 (C_out,).  Raises UnsupportedError, naming the leaf, if the sum of a
    window may exceed 32 bits.
    """
    quantizer, weights = leaf.input_quantizer, leaf.weight_quantizer
    assert quantizer is not None
    assert weights is not None
    low, high = code_range(quantizer.bits, quantizer.number_set)
    n_terms = leaf.weight[0].numel()
    most = (2**31 - 1) // ((high - low) * -code_range(weights.bits, "signed")[0])
    if n_terms > most:
        raise UnsupportedError(
            f"{name}: the sum of {n_terms} products of {leaf.precision} may exceed 32 bits; "
            f"allowed: {most} or fewer; give it fewer bits in the plan"
        )
    tensors = {"scale": scale, "bias": bias}
    if kind != "depthwise" and weights.bits == 1 and quantizer.bits in PLANE_BITS:
        tensors["weight"] = pack_weight(leaf.weight)
        return program.add(f"{kind}_planes", [value], ints=shape, tensors=tensors)
    if quantizer.bits == 1:
        value = unpack(program, value, quantizer)
    tensors["weight"] = pack_codes(leaf.weight, weights)
    ints = shape | {"weight_bits": weights.bits}
    return program.add(f"{kind}_i8", [value], ints=ints, tensors=tensors)
