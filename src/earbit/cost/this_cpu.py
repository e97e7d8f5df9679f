"""The CPU of this machine as a device, with kernel rates measured in half a second.

Times from these rates are estimates, since all products get the rate of one large product.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from earbit import _core
from earbit.cost.devices import Device
from earbit.cost.op import OPERATIONS_PER_MAC
from earbit.runtime.doctor import cpu_name

NAME = "this-cpu"
N_RUNS = 5
N_FRAMES, D_IN, D_OUT = 499, 768, 3072
"""Shape of the measured product: a feed-forward layer of HuBERT Base for 10 s."""


def this_cpu() -> Device:
    """Rates of the kernels of this runtime on one thread, in 1 bit and in float.

    Other precisions count as float.
    """
    n_macs = N_FRAMES * D_IN * D_OUT
    tops_of = {
        bits: OPERATIONS_PER_MAC * n_macs / 1e12 / seconds
        for bits, seconds in ((1, _binary_seconds()), (32, _float_seconds()))
    }
    source = (
        f"{cpu_name()}, one thread, {_core.isa()} kernels of this runtime; measured just now on "
        f"a product of {N_FRAMES} x {D_IN} x {D_OUT}, best of {N_RUNS}"
    )
    return Device(name=NAME, tops_of=tops_of, source=source)


def _float_seconds() -> float:
    """Time of a float linear layer on rows cut from the waveform."""
    random = np.random.default_rng(0)
    program = _core.Program()
    weight = random.standard_normal((D_OUT, D_IN)).astype(np.float32)
    program.add("conv_f32", [0], _windows(D_IN, D_IN), {}, {"weight": weight})
    return _best_of_last_op(program, random.standard_normal(N_FRAMES * D_IN).astype(np.float32))


def _binary_seconds() -> float:
    """Time of the same product on random bits, with the rows of a short convolution."""
    random = np.random.default_rng(0)
    program = _core.Program()
    weight = random.standard_normal((D_IN, 8)).astype(np.float32)
    rows = program.add("conv_f32", [0], _windows(8, 1), {}, {"weight": weight})
    threshold = {"threshold": np.zeros(D_IN, np.float32)}
    bits = program.add("pack", [rows], {"groups": 1}, {}, threshold)
    tensors: dict[str, Any] = {
        "weight": random.integers(0, 2**64, (D_OUT, D_IN // 64), np.uint64),
        "scale": np.ones(D_OUT, np.float32),
        "bias": np.zeros(D_OUT, np.float32),
    }
    ints = _windows(1, 1) | {"unsigned": 0, "out_groups": 1}
    program.add("conv_b1", [bits], ints, {}, tensors)
    return _best_of_last_op(program, random.standard_normal(N_FRAMES + 7).astype(np.float32))


def _windows(kernel: int, stride: int) -> dict[str, int]:
    return {"kernel": kernel, "stride": stride, "pad_left": 0, "pad_right": 0, "groups": 1}


def _best_of_last_op(program: _core.Program, waveform: Any) -> float:
    return min(program.profile(waveform, 1)[-1][2] for _ in range(N_RUNS))
