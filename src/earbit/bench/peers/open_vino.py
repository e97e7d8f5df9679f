"""OpenVINO on the CPU: an ONNX model in float32 or bfloat16, or a model with int8 products."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino

from earbit.bench.peers.catalogue import PEERS

# By default OpenVINO computes in bfloat16 if the CPU can, so float32 is requested.
# For int8 models it may choose the other precisions, as by default.
_PRECISION_HINT = {"fp32": "f32", "bf16": "bf16"}


def loaded(engine: str, file: Path, audio: np.ndarray, n_threads: int) -> Callable[[], np.ndarray]:
    """Loads a model; a call of the result returns (frames, width) float32."""
    core = openvino.Core()
    precision = PEERS[engine].precision
    settings: dict[str, str | int | bool] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": n_threads,
        # The process is pinned like all engines, so OpenVINO must not choose other cores.
        "ENABLE_CPU_PINNING": False,
    }
    if precision in _PRECISION_HINT:
        settings["INFERENCE_PRECISION_HINT"] = _PRECISION_HINT[precision]
    compiled = core.compile_model(core.read_model(file), "CPU", settings)
    request = compiled.create_infer_request()
    inputs, output = [audio[None]], compiled.output(0)

    def run() -> np.ndarray:
        state: np.ndarray = request.infer(inputs)[output][0].copy()
        return state

    return run
