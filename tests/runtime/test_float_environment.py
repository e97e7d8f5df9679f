"""Results do not depend on how the caller computes with floats: rounding, denormal numbers."""

import platform

import numpy as np
import pytest
import torch
from program_parts import CUT, PLAIN, floats

from earbit.export.program import WAVEFORM, Program, write_program
from earbit.runtime import Session
from native_build import built, ran


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A program through denormal numbers, which the loader meets too, to numbers around 1."""
    program = Program()
    shrunk = {"weight": 1e-20 * floats(1, 12, CUT["kernel"])}
    value = program.add("conv_f32", [WAVEFORM], ints=CUT, tensors=shrunk)
    for factor in (1e-20, 1e30):
        weight = {"weight": np.float32(factor) * floats(2, 12, 12)}
        value = program.add("conv_f32", [value], ints=PLAIN, tensors=weight)
    norm = {"weight": np.ones(12, np.float32), "bias": np.zeros(12, np.float32)}
    value = program.add("layer_norm", [value], floats={"eps": 1e-40}, tensors=norm)
    program.outputs = [value]
    path = tmp_path_factory.mktemp("programs") / "denormal.safetensors"
    write_program(program, path, {"name": "denormal"})
    return path


@pytest.mark.skipif(platform.machine() != "x86_64", reason="sets MXCSR, a register of x86")
def test_callers_that_flush_denormals_or_round_otherwise_get_the_same_bits_on_1_and_2_threads(
    program,
):
    assert ran(built("asan") / "float_environment", program) == "120 runs, 0 wrong\n"


def test_flushing_denormals_in_pytorch_changes_no_feature_and_stays_as_it_was(program):
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32)
    expected = Session(program).run(audio)
    assert np.count_nonzero(expected) == expected.size
    tiny = torch.tensor([1e-40])
    try:
        if not torch.set_flush_denormal(True):
            pytest.skip("this CPU does not flush denormal numbers")
        for threads in (1, 2):
            session = Session(program, threads)
            assert np.array_equal(session.run(audio), expected)
            assert session.profile(audio)
        assert (tiny * 1).item() == 0
    finally:
        torch.set_flush_denormal(False)
