"""Log mel energies as an ONNX graph: a clip of a batch is what the runtime computes of it alone."""

import numpy as np
import pytest

from earbit import _core
from earbit.export.program import WAVEFORM, Program

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from earbit.hub.onnx.translate import onnx_model  # noqa: E402

FLOORS = {"floor": 1e-6}
CASES = [
    {"window": 400, "hop": 160, "pad": 80, "stack": 2, "fft": 512},
    {"window": 50, "hop": 70, "pad": 0, "stack": 1, "fft": 64},
    {"window": 128, "hop": 30, "pad": 127, "stack": 3, "fft": 128},
]


def tensors_of(ints, n_mels=7, width=9):
    random = np.random.default_rng(1)
    first = random.integers(0, ints["fft"] // 2 + 2 - width, n_mels)
    return {
        "taper": np.hanning(ints["window"]).astype(np.float32),
        "first": first.astype(np.int32),
        "weight": random.random((n_mels, width), np.float32),
    }


def alone(wave, ints, tensors):
    program = _core.Program()
    value = program.add("log_mel", [WAVEFORM], ints, FLOORS, tensors)
    return program.run(wave, [value], 1)[0]


@pytest.mark.parametrize("ints", CASES, ids=lambda ints: str(ints["window"]))
def test_clips_of_a_batch_have_the_energies_of_each_alone(ints):
    tensors = tensors_of(ints)
    program = Program()
    program.outputs = [
        program.add("log_mel", [WAVEFORM], ints=ints, floats=FLOORS, tensors=tensors)
    ]
    graph = onnx_model(program, {}).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    lengths = [3001, 2560, 800, 4000]
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    audio = np.random.default_rng(2).standard_normal(mask.shape).astype(np.float32)
    # Anything may stand in padding.
    inputs = {"input_values": audio, "attention_mask": mask.astype(np.int64)}
    states, n_frames = session.run(None, inputs)
    for wave, length, found, n in zip(audio, lengths, states, n_frames, strict=True):
        expected = alone(wave[:length], ints, tensors)
        assert n == len(expected)
        assert np.abs(found[:n] - expected).max() <= 1e-3
