"""Ops that run together, a block of rows at a time: their order of work changes no value."""

import numpy as np
import pytest
from packed_reference import PLAIN
from random_chains import RandomProgram
from test_session import op, write

from earbit.errors import FormatError
from earbit.runtime import Session

SEEDS = range(80)


def assert_equals(made, value, result, why):
    if value in made.code_values:
        assert np.array_equal(result, made.code_values[value]), why
    elif value in made.near:
        assert np.allclose(result, made.values[value], rtol=0, atol=1e-4), why
    else:
        assert np.array_equal(result, made.values[value]), why


@pytest.mark.parametrize("seed", SEEDS)
def test_values_of_random_programs_are_those_of_numpy_however_many_are_kept(seed):
    made = RandomProgram(seed)
    values = [*made.values, *made.code_values]
    # All kept, so that nothing is written over; then only the last, so that all else may be; then
    # some, on several threads.
    for n_threads in (1, 3):
        for value, result in zip(
            values, made.program.run(made.x.ravel(), values, n_threads), strict=True
        ):
            assert_equals(made, value, result, (value, n_threads))
        for _ in range(3):
            some = sorted(made.random.choice(values, min(2, len(values)), replace=False).tolist())
            results = made.program.run(made.x.ravel(), some, n_threads)
            for value, result in zip(some, results, strict=True):
                assert_equals(made, value, result, (value, n_threads))


def chains_of(program, waveform):
    """Names of the ops that run together, block by block, in the order of the run."""
    chains = {}
    for name, chain, *_ in program.profile(waveform, 1):
        chains.setdefault(chain, []).append(name)
    return [chains[number] for number in sorted(chains)]


def test_random_programs_hold_chains_of_many_ops_and_values_that_chains_must_keep():
    chains = []
    for seed in SEEDS:
        made = RandomProgram(seed)
        chains += chains_of(made.program, made.x.ravel())
    assert max(map(len, chains)) >= 8
    assert 50 < sum(len(chain) > 1 for chain in chains) < len(chains)
    # What chains start with, and what stands in them behind that.
    heads = {chain[0] for chain in chains if len(chain) > 1}
    assert heads == {"conv_b1", "conv_f32", "conv_i8", "conv_planes"}
    inside = {op for chain in chains for op in chain[1:]}
    assert inside == {"add", "glu", "layer_norm", "pack", "quantize", "relu", "unpack"}


@pytest.mark.parametrize("joint", ["add", "layer_norm"])
@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_inside_a_chain_names_the_audio_and_the_next_call_works(tmp_path, joint, threads):
    # A window of two samples and one of one, every two samples: as many only for even audio.
    one = np.ones(1, np.float32)
    tensors = {"wide": np.ones((1, 2), np.float32), "narrow": np.ones((1, 1), np.float32)}
    tensors |= {"threshold": 0 * one, "bits": np.ones((1, 1), np.uint64)}
    tensors |= {"scale": one, "bias": 0 * one, "gain": one, "half": 0.5 * one}
    norm = {"floats": {"eps": 1.0}, "tensors": {"weight": "gain", "bias": "half"}}
    ops = [
        op("conv_f32", [0], PLAIN | {"kernel": 2, "stride": 2}) | {"tensors": {"weight": "wide"}},
        op("conv_f32", [0], PLAIN | {"stride": 2}) | {"tensors": {"weight": "narrow"}},
        op("pack", [1], {"groups": 1}, tensors=["threshold"]),
        op("gemm_b1", [3], PLAIN | {"unsigned": 0, "out_groups": 1})
        | {"tensors": {"weight": "bits", "scale": "scale", "bias": "bias"}},
        op("relu", [4]),
        op(joint, [5, 2]) | (norm if joint == "layer_norm" else {}),
        op("relu", [6]),
    ]
    session = Session(write(tmp_path / "p.safetensors", ops, [7], tensors), threads)
    audio = np.random.default_rng(1).uniform(-1, 1, 2000).astype(np.float32)
    assert ["gemm_b1", "relu", joint, "relu"] in chains_of(session._program, audio)
    sums = np.maximum(np.where(audio[::2] + audio[1::2] >= 0, 1, -1), 0) + audio[::2]
    # Of one column, less its own mean, only the bias is left.
    expected = np.maximum(sums, 0) if joint == "add" else np.full(1000, 0.5)
    for _ in range(3):
        assert np.allclose(session.run(audio)[:, 0], expected, atol=1e-6)
        with pytest.raises(FormatError, match=f"1999 samples: {joint} of 999 and 1000 frames"):
            session.run(audio[:-1])
