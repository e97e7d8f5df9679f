"""A session says what is wrong with a program, with audio, with the machine; none is a traceback.

The programs here are written by hand, with numpy and safetensors alone.
"""

import copy
import json
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from packed_reference import PLAIN
from safetensors.numpy import save_file
from test_kernels import ISAS, in_a_new_process

from earbit.errors import ConfigError, DataError, FormatError
from earbit.runtime import Session

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


def write(path, ops, outputs, tensors=None, origin=None):
    header = {"format": "earbit-program-1", "ops": ops, "outputs": outputs, "bits": {}}
    named = {name for record in ops for name in record["tensors"].values()}
    tensors = {name: t for name, t in (tensors or NORM).items() if name in named}
    save_file(tensors, path, {"earbit": json.dumps({**header, "origin": origin or {}})})
    return path


@pytest.fixture
def session(tmp_path):
    return Session(write(tmp_path / "p.safetensors", [op("relu", [0])], [0, 1]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_floats_are_audio(session, dtype):
    audio = AUDIO.astype(dtype)
    assert np.array_equal(session.run(audio)[:, 0], np.maximum(audio, 0).astype(np.float32))
    assert np.array_equal(session.run(audio.tolist()), session.run(audio))


@pytest.mark.parametrize(
    ("dtype", "divisor"),
    [(np.int16, 32768), (np.int32, 2**31), (np.uint8, 128), (bool, 32768), (complex, 32768)],
)
def test_audio_that_is_not_of_floats_is_refused_with_what_to_do(session, dtype, divisor):
    with pytest.raises(DataError, match=rf"{np.dtype(dtype).name}.*\b{divisor}\b"):
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


@pytest.mark.parametrize("threads", [0, 257, -1, 10**30, 1.5, 2.0, "2", True, None])
def test_an_impossible_number_of_threads_is_a_config_error(tmp_path, threads):
    with pytest.raises(ConfigError, match=re.escape(f"threads={threads!r}; allowed: whole")):
        Session(write(tmp_path / "p.safetensors", [op("relu", [0])], [1]), threads)


def test_whole_numbers_of_numpy_are_numbers_of_threads(tmp_path):
    path = write(tmp_path / "p.safetensors", [op("relu", [0])], [1])
    assert Session(path, np.int64(2)).run(AUDIO).shape == (1600, 1)


def test_a_path_may_be_text_bytes_or_a_path_and_nothing_else(tmp_path, monkeypatch):
    path = write(tmp_path / "p.safetensors", [op("relu", [0])], [1])
    for given in (path, str(path), bytes(path)):
        assert Session(given).path == path
    monkeypatch.chdir(tmp_path)
    assert Session("p.safetensors").path == path
    for given in (None, 3, open):
        with pytest.raises(ConfigError, match="give the path of a file of `earbit export`"):
            Session(given)


def test_a_copy_of_a_session_reads_its_file_anew(tmp_path, monkeypatch):
    path = write(tmp_path / "p.safetensors", [op("relu", [0])], [0, 1])
    monkeypatch.chdir(tmp_path)
    session = Session("p.safetensors", threads=2)
    pickled = pickle.dumps(session)
    monkeypatch.chdir("/")
    for twin in (copy.copy(session), copy.deepcopy(session), pickle.loads(pickled)):
        assert (twin.path, twin.threads, twin.outputs) == (path, 2, session.outputs)
        assert np.array_equal(twin.run(AUDIO), session.run(AUDIO))
    path.unlink()
    with pytest.raises(FormatError, match=r"p.safetensors: no such file"):
        pickle.loads(pickled)
    assert session.run(AUDIO).any(), "the session itself needs the file no more"


@pytest.mark.parametrize("changed", ["op", "tensor", "header"])
def test_a_copy_is_refused_when_its_file_holds_another_program_by_then(tmp_path, changed):
    def written(name, scale=1.0, origin=None):
        tensors = {"weight": np.full((3, 1), scale, np.float32)}
        ops = [op("conv_f32", [0], PLAIN, tensors=["weight"]), op(name, [1])]
        return write(tmp_path / "p.safetensors", ops, [1, 2], tensors, origin)

    session = Session(written("relu"))
    pickled = pickle.dumps(session)
    written("relu")
    assert copy.deepcopy(session).run(AUDIO).any(), "the same bytes are the same program"
    other = {
        "op": lambda: written("gelu"),
        "tensor": lambda: written("relu", scale=np.nextafter(np.float32(1), np.float32(2))),
        "header": lambda: written("relu", origin={"name": "other"}),
    }
    path = other[changed]()
    now = Session(path)
    digests = (session._digest, now._digest)
    assert len(set(digests)) == 2
    for again in (copy.copy, copy.deepcopy, lambda session: pickle.loads(pickled)):
        with pytest.raises(FormatError, match=rf"p.safetensors: .*{digests[0]}.*{digests[1]}"):
            again(session)
    assert copy.deepcopy(now).run(AUDIO).any()


def test_a_value_that_the_program_does_not_have_is_named_and_not_the_audio(session):
    for value in (-1, 10**6):
        with pytest.raises(ConfigError, match=rf"value {value} of the program; it has 0 to \d+"):
            session.values(AUDIO, [0, value])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_given_as_audio_are_told_to_become_numbers(session, kind):
    with pytest.raises(DataError, match=r"audio is 640000 bytes; .*np.frombuffer") as caught:
        session.run(kind(bytes(640_000)))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("given", ["speech.wav", Path("speech.wav")])
def test_a_path_given_as_audio_is_told_to_be_read_first(session, given):
    expected = r"audio is a \w+, 'speech.wav'; .*session.run\(earbit.read_audio\('speech.wav'\)\)"
    for work in (session.run, session.run_batch, session.profile):
        with pytest.raises(DataError, match=expected):
            work(given)


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((1600, 2), r"2 channels; .*waveform\.mean\(axis=1\)"),
        ((2, 1600), r"2 channels; .*waveform\.mean\(axis=0\)"),
        ((1600, 1), r"waveform\.ravel\(\)"),
        ((1, 1600), r"waveform\.ravel\(\)"),
        ((2, 2, 400), r"shape \(samples,\)"),
    ],
)
def test_audio_of_several_channels_is_refused_with_how_to_make_one(session, shape, advice):
    with pytest.raises(DataError, match=advice):
        session.run(np.zeros(shape, np.float32))


def test_a_batch_takes_the_layers_that_run_takes_and_names_the_waveform_that_fails(session):
    clips = [AUDIO, AUDIO[:500]]
    for layers in ("last", "all"):
        results = session.run_batch(clips, layers=layers)
        expected = [session.run(clip, layers=layers) for clip in clips]
        assert [r.tobytes() for r in results] == [e.tobytes() for e in expected]
    assert session.run_batch(iter([])) == []
    with pytest.raises(ConfigError, match="layers='first'"):
        session.run_batch(clips, layers="first")
    with pytest.raises(DataError, match="waveform 1: audio of 3 samples"):
        session.run_batch([AUDIO, AUDIO[:3]])


@pytest.mark.parametrize("isa", ISAS)
def test_an_instruction_set_may_be_named_in_capitals(isa):
    done = in_a_new_process("from earbit import _core; print(_core.isa())", isa.upper())
    assert done.stdout.strip() == isa, done.stderr


@pytest.mark.parametrize("ids", [["x"], [0, None], [1.0], [True], "x", None, 1])
def test_what_is_no_id_of_a_value_is_a_config_error(session, ids):
    with pytest.raises(ConfigError, match="of the program; .*it has 0 to 1"):
        session.values(AUDIO, ids)


def test_a_session_says_which_program_it_is(session, tmp_path):
    assert repr(session) == f"<Session {tmp_path / 'p.safetensors'}, threads=1>"
    session.origin = {"name": "onebit", "precisions": ["w1a1", "w32a32"]}
    assert repr(session).endswith("p.safetensors, onebit, w1a1+w32a32, threads=1>")


def test_a_value_that_is_asked_for_twice_is_two_arrays(session):
    last = session.outputs[-1]
    first, second = session.values(AUDIO, [last, last])
    assert np.array_equal(first, second)
    first[...] = 0
    assert second.any()
    assert np.array_equal(second, session.run(AUDIO))
