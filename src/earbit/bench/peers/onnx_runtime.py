"""ONNX Runtime on the CPU: an ONNX model in float32 or with int8 products."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime


def loaded(engine: str, file: Path, audio: np.ndarray, n_threads: int) -> Callable[[], np.ndarray]:
    """Loads a model; a call of the result returns (frames, width) float32.

    The precision of `engine` is that of the file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: audio[None]}

    def run() -> np.ndarray:
        state: np.ndarray = session.run(None, inputs)[0][0]
        return state

    return run
