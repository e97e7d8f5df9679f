"""libearbit and its example give what a Session gives; wrong calls are errors, threads harmless."""

import wave

import numpy as np
import pytest
from small_programs import write_programs

from earbit.runtime import Session
from native_build import built, ran

SAMPLES = np.random.default_rng(2).integers(-20_000, 20_000, 3001).astype(np.int16)
NAMES = ("norms", "products", "binary_attention", "float_attention", "head")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    write_programs(folder)
    return folder


def write_wav(path, samples=SAMPLES, rate_hz=16_000, n_channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(n_channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("name", NAMES)
def test_the_example_in_c_writes_the_bits_of_a_session(folder, tmp_path, name):
    program = folder / f"{name}.safetensors"
    wav = write_wav(tmp_path / "a.wav")
    said = ran(built("asan") / "features", program, wav, tmp_path / "out.f32")
    session = Session(program)
    expected = session.run(SAMPLES.astype(np.float32) / 32768)
    n_frames, width = expected.shape
    n_states = len(session.outputs)
    assert said == f"{n_frames} frames of {width} values, {n_states} hidden states\n"
    assert (tmp_path / "out.f32").read_bytes() == expected.tobytes()


def test_labels_and_scores_in_c_are_those_of_a_session(folder, tmp_path):
    audio = SAMPLES.astype(np.float32) / 32768
    audio.tofile(tmp_path / "a.f32")
    program = folder / "head.safetensors"
    lines = ran(built("asan") / "c_scores", program, tmp_path / "a.f32", 3).splitlines()
    session = Session(program)
    assert [line.split(" ", 1)[1] for line in lines] == list(session.labels)
    scores = np.float32([float.fromhex(line.split(" ")[0]) for line in lines])
    assert np.array_equal(scores, session.scores(audio))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rate_hz": 8000}, "no WAV file"),
        ({"n_channels": 2}, "no WAV file"),
        ({"samples": SAMPLES[:0]}, "no WAV file"),
        ({"samples": SAMPLES[:399]}, "399 samples"),
    ],
    ids=["rate", "channels", "empty", "short"],
)
def test_the_example_says_what_is_wrong_with_audio(folder, tmp_path, wrong, named):
    wav = write_wav(tmp_path / "a.wav", **wrong)
    with pytest.raises(AssertionError, match=named):
        ran(built("asan") / "features", folder / "norms.safetensors", wav)


@pytest.mark.parametrize("name", NAMES)
def test_every_wrong_call_gets_its_status_and_a_text(folder, name):
    ran(built("asan") / "c_errors", folder / f"{name}.safetensors")


def test_threads_that_open_run_and_close_at_once_get_the_right_bits(folder):
    said = ran(built("asan") / "stress", folder / "binary_attention.safetensors", 8, 24)
    assert said == "8 threads of 24 calls, 0 wrong\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_thread_sanitizer_finds_no_race(folder, name):
    said = ran(built("tsan") / "stress", folder / f"{name}.safetensors", 16, 200)
    assert said == "16 threads of 200 calls, 0 wrong\n"
