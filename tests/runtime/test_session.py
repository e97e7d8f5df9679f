"""A session says what is wrong with a program, with audio, with the machine; none is a traceback.

The programs here are written by hand, with numpy and safetensors alone.
"""

import json
import sys

import numpy as np
import pytest
from packed_reference import PLAIN
from safetensors.numpy import save_file
from test_kernels import ISAS, in_a_new_process

from earbit import _core
from earbit.errors import ConfigError, DataError, FormatError
from earbit.runtime import Session
from earbit.runtime.doctor import examine

AUDIO = np.sin(np.arange(1600) / 9).astype(np.float32)
NORM = {"weight": np.ones(1, np.float32), "bias": np.zeros(1, np.float32)}


def op(name, inputs, ints=None, floats=None, tensors=()):
    return {
        "op": name,
        "inputs": inputs,
        "ints": ints or {},
        "floats": floats or {},
        "tensors": {t: t for t in tensors},
    }


def write(path, ops, outputs, tensors=None):
    header = {"format": "earbit-program-1", "ops": ops, "outputs": outputs, "bits": {}}
    named = {name for record in ops for name in record["tensors"].values()}
    tensors = {name: t for name, t in (tensors or NORM).items() if name in named}
    save_file(tensors, path, {"earbit": json.dumps({**header, "origin": {}})})
    return path


@pytest.fixture
def session(tmp_path):
    return Session(write(tmp_path / "p.safetensors", [op("relu", [0])], [0, 1]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_floats_are_audio(session, dtype):
    audio = AUDIO.astype(dtype)
    assert np.array_equal(session.run(audio)[:, 0], np.maximum(audio, 0).astype(np.float32))
    assert np.array_equal(session.run(audio.tolist()), session.run(audio))


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint8, bool, complex])
def test_audio_that_is_not_of_floats_is_refused_with_what_to_do(session, dtype):
    with pytest.raises(DataError, match=rf"{np.dtype(dtype).name}.*32768"):
        session.run((AUDIO * 100).astype(dtype))


@pytest.mark.parametrize("audio", [["a"] * 400, [[0.0], [0.0, 1.0]], [None] * 400, 0.5, []])
def test_what_is_no_audio_at_all_is_a_data_error(session, audio):
    with pytest.raises(DataError, match="audio"):
        session.run(audio)


def test_floats_beyond_float32_are_counted_as_infinite(session):
    with pytest.raises(DataError, match="1 samples"):
        session.run(np.append(AUDIO.astype(float), 1e300))


@pytest.mark.parametrize("eps", [10**30, 1e-5, 1])
def test_a_number_may_be_written_as_an_integer(tmp_path, eps):
    ops = [op("layer_norm", [0], floats={"eps": eps}, tensors=NORM)]
    result = Session(write(tmp_path / "p.safetensors", ops, [1])).run(AUDIO)
    assert not result.any(), "one column less its own mean is zero"


@pytest.mark.parametrize("eps", [10**400, -(10**400), 1e39, True, "1", None, [1]])
def test_a_number_that_is_none_is_a_format_error_that_names_it(tmp_path, eps):
    ops = [op("layer_norm", [0], floats={"eps": eps}, tensors=NORM)]
    with pytest.raises(FormatError, match=r"op 0.*eps"):
        Session(write(tmp_path / "p.safetensors", ops, [1]))


def test_outputs_of_bits_are_a_format_error_that_names_the_value(tmp_path):
    ops = [op("pack", [0], {"groups": 1}, tensors=["threshold"]), op("relu", [0])]
    tensors = {"threshold": np.zeros(1, np.float32)}
    session = Session(write(tmp_path / "p.safetensors", ops, [2, 1], tensors))
    for layers in ("last", "all"):
        with pytest.raises(FormatError, match="output value 1.*uint64"):
            session.run(AUDIO, layers=layers)


def test_outputs_of_different_widths_are_a_format_error_that_names_the_value(tmp_path):
    tensors = {"weight": np.ones((3, 1), np.float32)}
    ops = [op("conv_f32", [0], PLAIN, tensors=["weight"]), op("relu", [0])]
    session = Session(write(tmp_path / "p.safetensors", ops, [2, 1], tensors))
    assert session.run(AUDIO).shape == (1600, 3)
    with pytest.raises(FormatError, match=r"output value 1.*\(1600, 3\)"):
        session.run(AUDIO, layers="all")


@pytest.mark.skipif(sys.platform != "linux", reason="limits its own memory, as Linux can")
def test_audio_that_needs_more_memory_than_there_is_is_a_data_error_with_its_size(tmp_path):
    tensors = {"weight": np.ones((4096, 1), np.float32)}
    ops = [op("conv_f32", [0], PLAIN, tensors=["weight"])]
    path = write(tmp_path / "p.safetensors", ops, [1], tensors)
    code = f"""if True:
        import resource
        import numpy as np
        from earbit.errors import DataError
        from earbit.runtime import Session
        session = Session({str(path)!r})
        resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
        for work in (session.run, session.profile):
            try:
                work(np.zeros(500_000, np.float32))
            except DataError as error:
                print(error)
    """
    done = in_a_new_process(code, "")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("audio of 500000 samples needs more memory") == 2


@pytest.mark.parametrize("work", ["Session('missing.safetensors')", "examine()"])
def test_an_instruction_set_that_is_not_here_is_named_before_any_file_is_blamed(work):
    code = f"""if True:
        from earbit.errors import ConfigError
        from earbit.runtime import Session
        from earbit.runtime.doctor import examine
        try:
            {work}
        except ConfigError as error:
            print(error)
    """
    done = in_a_new_process(code, "mmx")
    assert done.returncode == 0, done.stderr
    assert "EARBIT_ISA" in done.stdout
    assert "'mmx'" in done.stdout
    assert ISAS[0] in done.stdout


@pytest.mark.parametrize("threads", [0, 257])
def test_an_impossible_number_of_threads_is_a_config_error(tmp_path, threads):
    with pytest.raises(ConfigError, match=f"threads={threads}"):
        Session(write(tmp_path / "p.safetensors", [op("relu", [0])], [1]), threads)


def test_the_doctor_tests_every_kernel_that_runs_here(monkeypatch):
    found = examine()
    assert found["ok"]
    runnable = {kernel["name"] for kernel in found["kernels"] if kernel["available"]}
    assert {test["kernel"] for test in found["self_test"]} == runnable
    wrong = [*_core.self_test(), {"kernel": "broken", "ok": False, "detail": "wrong at 1 x 1 x 1"}]
    monkeypatch.setattr(_core, "self_test", lambda: wrong)
    assert not examine()["ok"]
