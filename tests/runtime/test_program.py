"""A program as a whole: what it refuses, what it keeps, and that threads change nothing."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from packed_reference import PLAIN, bit_rows, float_rows, run_one
from test_kernels import ISAS, in_a_new_process

from earbit import _core

B1 = {**PLAIN, "unsigned": 0, "out_groups": 1}


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def encoder():
    """Audio to bits, convolutions, an attention and a layer norm; returns program and values."""
    random = np.random.default_rng(3)

    def words(n_out, n_words):
        return random.integers(0, 2**64, (n_out, n_words), dtype=np.uint64)

    def limits(n):
        return random.integers(-9, 10, n).astype(np.int32)

    program = _core.Program()
    cut = {**B1, "kernel": 10, "stride": 5}
    value = program.add("pack", [0], {"groups": 1}, {}, {"threshold": np.zeros(1, np.float32)})
    tensors = {"weight": words(128, 10) & np.uint64(1), "threshold": limits(128) // 3}
    value = program.add("conv_b1", [value], cut, {}, tensors)
    shape = {**B1, "kernel": 3, "stride": 2, "out_groups": 2}
    tensors = {"weight": words(128, 6), "threshold": limits(128)}
    heads = [program.add("conv_b1", [value], shape, {}, tensors)]
    for _ in range(2):
        tensors = {"weight": words(128, 6), "threshold": limits(128)}
        heads.append(program.add("conv_b1", [value], shape, {}, tensors))
    floats = {"score_scale": 0.05, "prob_half": 0.003, "scale": 0.1}
    ints = {"head_dim": 64, "radius": 50}
    attended = program.add("attention_b1", heads, ints, floats, {})
    smooth = program.add("gelu", [attended], {}, {}, {})
    total = program.add("add", [attended, smooth], {}, {}, {})
    tensors = {"weight": ones(128), "bias": ones(128)}
    norm = program.add("layer_norm", [total], {}, {"eps": 1e-5}, tensors)
    return program, [*heads, attended, smooth, total, norm]


def waveform(n_samples=6000):
    return np.random.default_rng(9).standard_normal(n_samples).astype(np.float32)


def digest(arrays):
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def encoder_digest():
    program, values = encoder()
    return digest(program.run(waveform(), values, 2))


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_gives_the_same_bytes(isa):
    code = "import sys\nsys.path[:0] = " + repr([p for p in sys.path if p]) + "\n"
    code += "from test_program import encoder_digest\nprint(encoder_digest())"
    done = in_a_new_process(code, isa)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == encoder_digest()


@pytest.mark.parametrize("threads", [2, 3, 4, 16])
def test_the_number_of_threads_changes_no_bit(threads):
    program, values = encoder()
    alone = program.run(waveform(), values, 1)
    assert digest(program.run(waveform(), values, threads)) == digest(alone)


def test_floats_do_not_depend_on_threads_either():
    x = waveform(333 * 48).reshape(333, 48)
    weight = waveform(48 * 8 * 12).reshape(48, 96)
    ints = {**PLAIN, "kernel": 8, "pad_left": 4, "pad_right": 3, "groups": 4}
    for op, attributes in (
        ("conv_f32", {"ints": ints, "tensors": {"weight": weight}}),
        ("group_norm", {"floats": {"eps": 1e-5}, "tensors": {"weight": x[0], "bias": x[1]}}),
    ):
        results = {digest([run_one(op, x, threads=n, **attributes)]) for n in (1, 2, 3, 4)}
        assert len(results) == 1, op


def test_one_program_serves_many_callers_at_once():
    program, values = encoder()
    audio = [waveform(1000 + 100 * i) for i in range(16)]
    expected = [digest(program.run(a, values, 1)) for a in audio]
    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(lambda a: digest(program.run(a, values, 2)), audio * 3))
    assert found == expected * 3


def test_a_value_is_the_same_whether_asked_for_alone_or_with_all_others():
    program, values = encoder()
    together = program.run(waveform(), values, 1)
    for value, expected in zip(values, together, strict=True):
        assert digest(program.run(waveform(), [value], 1)) == digest([expected])


def test_the_waveform_itself_can_be_asked_for_and_is_left_alone():
    program = _core.Program()
    relu = program.add("relu", [0], {}, {}, {})
    audio = waveform(50)
    before = audio.copy()
    first, second, third = program.run(audio, [0, relu, 0], 1)
    assert np.array_equal(first[:, 0], before)
    assert np.array_equal(third[:, 0], before)
    assert np.array_equal(second[:, 0], np.maximum(before, 0))
    assert np.array_equal(audio, before)


def test_results_outlive_their_program():
    program = _core.Program()
    (result,) = program.run(waveform(50), [program.add("relu", [0], {}, {}, {})], 1)
    del program
    assert np.array_equal(result[:, 0], np.maximum(waveform(50), 0))


def test_profile_names_every_op_in_order_with_its_chain_and_its_seconds():
    program, _ = encoder()
    names, chains, seconds, products, operands = zip(*program.profile(waveform(), 1), strict=True)
    together = ("attention_b1", "gelu", "add", "layer_norm")
    assert names[-9:] == ("pack", *("conv_b1",) * 4, *together)
    assert len({*chains[-4:]}) == 1
    assert len({*chains[-9:-3]}) == 6
    assert all(s > 0 for s in seconds)
    assert {name for name, of in zip(names, operands, strict=True) if of == "b1"} == {
        "conv_b1",
        "attention_b1",
    }
    assert all((n > 0) == (of != "") for n, of in zip(products, operands, strict=True))


def test_too_few_frames_are_an_error_with_both_numbers():
    program = _core.Program()
    ints = {**PLAIN, "kernel": 400, "stride": 320}
    value = program.add("conv_f32", [0], ints, {}, {"weight": ones(2, 400)})
    with pytest.raises(ValueError, match=r"399.*400"):
        program.run(waveform(399), [value], 1)
    assert program.run(waveform(400), [value], 1)[0].shape == (1, 2)


def test_a_value_beyond_32_gib_is_refused_with_its_size_before_memory_is_asked_for():
    program = _core.Program()
    wide = program.add("conv_f32", [0], PLAIN, {}, {"weight": ones(2**13, 1)})
    with pytest.raises(ValueError, match=r"1048577 rows of 32768 bytes.*32 GiB"):
        program.run(np.zeros(2**20 + 1, np.float32), [wide], 1)


@pytest.mark.parametrize("threads", [0, -1, 100_000])
def test_an_impossible_number_of_threads_is_an_error(threads):
    with pytest.raises(ValueError, match=str(threads)):
        _core.Program().run(waveform(50), [0], threads)


@pytest.mark.parametrize("value", [-1, 1, 99])
def test_a_value_that_does_not_exist_is_an_error(value):
    with pytest.raises(ValueError, match=str(value)):
        _core.Program().run(waveform(50), [value], 1)


PACK = {"threshold": ones(3)}
CONV = {"weight": ones(4, 3)}
WORDS = {"weight": ones(8, 1, dtype=np.uint64), "scale": ones(8), "bias": ones(8)}
NORM = {"weight": ones(3), "bias": ones(3)}
ATTEND = {"score_scale": 0.1, "prob_half": 0.1, "scale": 1.0}
F, B = "floats", "bits"
REFUSED = [
    # op, inputs, ints, floats, tensors, what the message must name
    ("conv_9", [F], {}, {}, {}, "conv_b1"),
    ("relu", [F, F], {}, {}, {}, "2 inputs"),
    ("relu", [], {}, {}, {}, "0 inputs"),
    ("relu", [B], {}, {}, {}, "bits"),
    ("relu", [F], {"alpha": 1}, {}, {}, "alpha"),
    ("pack", [B], {"groups": 1}, {}, PACK, "bits"),
    ("pack", [F], {}, {}, PACK, "groups"),
    ("pack", [F], {"groups": 2}, {}, PACK, "groups=2"),
    ("pack", [F], {"groups": 0}, {}, PACK, "groups=0"),
    ("pack", [F], {"groups": 1}, {}, {}, "threshold"),
    ("pack", [F], {"groups": 1}, {}, {"threshold": ones(4)}, r"\(4\)"),
    ("pack", [F], {"groups": 1}, {}, {"threshold": ones(3, dtype=np.int32)}, "int32"),
    ("pack", [F], {"groups": 1}, {}, PACK | {"shift": ones(3)}, "shift"),
    ("pack", [F], {"groups": 1}, {"eps": 1.0}, PACK, "eps"),
    ("conv_f32", [F], {**PLAIN, "kernel": 0}, {}, CONV, "kernel=0"),
    ("conv_f32", [F], {**PLAIN, "stride": 0}, {}, CONV, "stride=0"),
    ("conv_f32", [F], {**PLAIN, "pad_left": -1}, {}, CONV, "pad_left=-1"),
    ("conv_f32", [F], {**PLAIN, "stride": 2**40}, {}, CONV, "stride"),
    ("conv_f32", [F], {**PLAIN, "pad_left": 1}, {}, CONV, "pad_left=1"),
    ("conv_f32", [F], {**PLAIN, "kernel": 2, "pad_right": 2}, {}, CONV, "pad_right=2"),
    ("conv_f32", [F], {**PLAIN, "kernel": 2**20}, {}, {"weight": ones(4, 1)}, str(3 * 2**20)),
    ("conv_f32", [F], PLAIN, {}, {"weight": ones(2**20 + 1, 3)}, "1048577 rows"),
    ("conv_f32", [F], PLAIN, {}, {}, "no matrix"),
    ("conv_f32", [F], {**PLAIN, "kernel": 2}, {}, CONV, r"\(4, 3\)"),
    ("conv_f32", [F], {**PLAIN, "groups": 2}, {}, CONV, "groups=2"),
    ("conv_f32", [F], PLAIN, {}, {"weight": ones(0, 3)}, "0"),
    ("conv_f32", [F], PLAIN, {}, CONV | {"bias": ones(3)}, "bias"),
    ("layer_norm", [F], {}, {}, NORM, "eps"),
    ("layer_norm", [F], {}, {"eps": float("nan")}, NORM, "eps"),
    ("group_norm", [F], {}, {"eps": float("inf")}, NORM, "eps"),
    ("gemm_b1", [F], B1, {}, WORDS, "floats"),
    ("gemm_b1", [B], {**B1, "unsigned": 2}, {}, WORDS, "unsigned=2"),
    ("gemm_b1", [B], {**B1, "out_groups": 3}, {}, WORDS, "groups"),
    ("gemm_b1", [B], {**B1, "groups": 2}, {}, WORDS, "groups=2"),
    ("conv_b1", [B], {**B1, "kernel": 3, "pad_left": 3}, {}, WORDS, "pad_left=3"),
    ("gemm_b1", [B], {**B1, "kernel": 2}, {}, WORDS, "weight"),
    ("gemm_b1", [B], B1, {}, WORDS | {"scale": ones(7)}, "scale"),
    ("gemm_b1", [B], B1, {}, {**WORDS, "weight": ones(8, 1, dtype=np.uint64) * 8}, "weight"),
    ("attention_b1", [B, B], {"head_dim": 3, "radius": -1}, ATTEND, {}, "2 inputs"),
    ("attention_b1", [B] * 3, {"head_dim": 2, "radius": -1}, ATTEND, {}, "head_dim=2"),
    ("attention_b1", [B] * 3, {"head_dim": 3, "radius": -2}, ATTEND, {}, "radius=-2"),
    ("attention_f32", [F] * 3, {"heads": 2, "radius": 0}, {"score_scale": 1.0}, {}, "heads=2"),
]


@pytest.mark.parametrize(("op", "inputs", "ints", "floats", "tensors", "named"), REFUSED)
def test_what_does_not_fit_is_refused_by_name_and_the_program_goes_on(
    op, inputs, ints, floats, tensors, named
):
    program = _core.Program()
    values = {F: float_rows(program, 3), B: bit_rows(program, 3)}
    with pytest.raises(ValueError, match=named):
        program.add(op, [values[i] for i in inputs], ints, floats, tensors)
    after = program.add("relu", [values[F]], {}, {}, {})
    assert program.run(waveform(30), [after], 1)[0].shape == (10, 3)


@pytest.mark.parametrize("value", [-1, 1, 7])
def test_an_input_that_does_not_exist_yet_is_refused(value):
    with pytest.raises(ValueError, match=str(value)):
        _core.Program().add("relu", [value], {}, {}, {})


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.uint8])
def test_a_tensor_of_another_type_is_refused_by_name(dtype):
    with pytest.raises(ValueError, match="threshold"):
        _core.Program().add("pack", [0], {"groups": 1}, {}, {"threshold": ones(1, dtype=dtype)})


def test_the_program_keeps_its_own_copy_of_tensors():
    program = _core.Program()
    threshold = np.zeros(1, np.float32)
    bits = program.add("pack", [0], {"groups": 1}, {}, {"threshold": threshold})
    before = digest(program.run(waveform(50), [bits], 1))
    threshold[:] = 100
    assert digest(program.run(waveform(50), [bits], 1)) == before


def test_a_forked_child_runs_programs_on_threads():
    code = (
        "import os, sys\nsys.path[:0] = " + repr([p for p in sys.path if p]) + "\n"
        "from test_program import encoder_digest\n"
        "expected = encoder_digest()\n"
        "child = os.fork()\n"
        "if child == 0:\n    os._exit(0 if encoder_digest() == expected else 3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "0", done.stderr
