"""Log mel energies of windows of samples.

Letters: B batch, T frames, W windows, M mels, K bins of the spectrum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from earbit.hub.onnx.float_ops import convolution
from earbit.hub.onnx.graph import ints, scalar
from earbit.hub.onnx.values import Translation, Value


def log_mel(t: Translation, op: dict[str, Any], x: Value) -> Value:
    """Spectrum as a convolution with cosines and sines, its energies, and their logarithm."""
    graph = t.graph
    window, hop, pad, stack, fft = (
        op["ints"][name] for name in ("window", "hop", "pad", "stack", "fft")
    )
    angles_KN = np.outer(np.arange(fft // 2 + 1), np.arange(window)) % fft * (2 * np.pi / fft)
    taper_N = t.tensor(op, "taper").astype(np.float64)
    waves = np.concatenate([np.cos(angles_KN), np.sin(angles_KN)]) * taper_N
    of_windows = {"kernel": window, "stride": hop, "pad_left": pad, "pad_right": pad, "groups": 1}
    spectrum = convolution(t, x, waves[:, None].astype(np.float32), None, of_windows)
    parts = t.channels(spectrum)
    mels_MK = _weights(t.tensor(op, "first"), t.tensor(op, "weight"), fft // 2 + 1)
    # The same weights for the squares of the real and of the imaginary parts.
    weight = np.concatenate([mels_MK, mels_MK], axis=1)
    energies = graph.op("MatMul", weight, graph.op("Mul", parts, parts))
    floored = graph.op("Add", energies, scalar(op["floats"]["floor"]))
    logs_BWM = graph.op("Transpose", graph.op("Log", floored), perm=[0, 2, 1])
    n_frames = graph.op("Div", t.n_frames(spectrum), ints(stack))
    end = graph.op("Mul", n_frames, ints(stack))
    whole = graph.op("Slice", logs_BWM, ints(0), end, ints(1))
    n_columns = stack * len(mels_MK)
    made = graph.op("Reshape", whole, ints(0, -1, n_columns))
    span = window + (stack - 1) * hop
    return Value(n_columns, t.lengths_after(x, span, stack * hop, (pad, pad)), rows=made)


def _weights(first: np.ndarray, weight: np.ndarray, n_bins: int) -> np.ndarray:
    """Weights (M, width) of the bins from `first` on as a matrix (M, K)."""
    mels_MK = np.zeros((len(first), n_bins), np.float32)
    np.put_along_axis(mels_MK, first[:, None] + np.arange(weight.shape[1]), weight, axis=1)
    return mels_MK


OPS: dict[str, Callable[..., Value]] = {
    "log_mel": log_mel,
}
