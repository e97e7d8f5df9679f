"""libearbit and its example give what a Session gives; wrong calls are errors, threads harmless."""

import os
import re
import shutil
import struct
import subprocess
import sys
import tomllib
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from program_parts import PLAIN, floats, front_end
from programs_with_heads import HEADS, write_head
from small_programs import write_programs

from earbit.errors import FormatError
from earbit.export.program import WAVEFORM, Program, write_program
from earbit.runtime import Session
from native_build import ROOT, built, ran

SAMPLES = np.random.default_rng(2).integers(-20_000, 20_000, 3001).astype(np.int16)
NAMES = ("norms", "products", "binary_attention", "float_attention", "head")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    write_programs(folder)
    return folder


def write_wav(path):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(SAMPLES.astype("<i2").tobytes())
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


@pytest.mark.parametrize(("subtype", "named"), [("PCM_16", ""), ("FLOAT", "float samples")])
def test_the_example_reads_what_an_extensible_header_tells_of(folder, tmp_path, subtype, named):
    audio = SAMPLES.astype(np.float32) / 32768
    soundfile.write(tmp_path / "a.wav", audio, 16_000, subtype=subtype, format="WAVEX")
    command = [built("asan") / "features", folder / "norms.safetensors", tmp_path / "a.wav"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, named in done.stderr) == (1 if named else 0, True)


def test_labels_and_scores_in_c_are_those_of_a_session(folder, tmp_path):
    audio = SAMPLES.astype(np.float32) / 32768
    audio.tofile(tmp_path / "a.f32")
    program = folder / "head.safetensors"
    lines = ran(built("asan") / "c_scores", program, tmp_path / "a.f32", 3).splitlines()
    session = Session(program)
    assert [line.split(" ", 1)[1] for line in lines] == list(session.labels)
    scores = np.float32([float.fromhex(line.split(" ")[0]) for line in lines])
    assert np.array_equal(scores, session.scores(audio))


def wav_bytes(kind=1, n_channels=1, rate_hz=16_000, n_bits=16, promised=None, **odd):
    """A WAV file of 1000 samples written from its definition; `odd` are fields that contradict."""
    sample_bytes = odd.get("sample_bytes", n_channels * n_bits // 8)
    data = bytes(1000 * sample_bytes)
    rate = odd.get("bytes_per_s", rate_hz * sample_bytes)
    form = struct.pack("<HHIIHH", kind, n_channels, rate_hz, rate, sample_bytes, n_bits)
    n_bytes = len(data) if promised is None else promised
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", n_bytes) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


WHOLE = wav_bytes()
WRONG_AUDIO = {
    "rate": (wav_bytes(rate_hz=8000), "8000 Hz; 16-bit samples of one channel at 16 kHz are read"),
    "channels": (wav_bytes(n_channels=2), "2 channels; 16-bit"),
    "24 bits": (wav_bytes(n_bits=24), "24-bit samples; 16-bit"),
    "floats": (wav_bytes(kind=3, n_bits=32), "float samples; 16-bit"),
    "a-law": (wav_bytes(kind=6, n_bits=8), "samples of kind 6, not plain integers"),
    "contradiction": (wav_bytes(bytes_per_s=64_000), "contradicts itself, 2 bytes a sample and 64"),
    "cut": (WHOLE[: len(WHOLE) // 2], r"breaks off after 978 of 2000 bytes"),
    "lies": (wav_bytes(promised=2002), "breaks off after 2000 of 2002 bytes"),
    "half a sample": (wav_bytes(promised=1999), "half a sample"),
    "too long": (wav_bytes(promised=0x70000000), r"promises 1879048192 bytes; at most .* \(4 h\)"),
    "no data": (WHOLE[:36], "breaks off before its samples"),
    "no format": (WHOLE[:12] + WHOLE[36:], "samples before their format"),
    "empty": (wav_bytes(promised=0)[:44], "no samples in it"),
    "empty pipe": (wav_bytes(promised=0xFFFFFFFF)[:45], "no samples in it"),
    "mp3": (b"ID3" + bytes(100), "no WAV file"),
    "nothing": (b"", "no WAV file"),
    "short": (wav_bytes(promised=798), "399 samples; allowed are 400.*; pad it or leave it out"),
}


@pytest.mark.parametrize(("content", "named"), WRONG_AUDIO.values(), ids=WRONG_AUDIO)
def test_the_example_says_in_one_line_what_is_wrong_with_audio(folder, tmp_path, content, named):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AssertionError, match=named) as caught:
        ran(built("asan") / "features", folder / "norms.safetensors", tmp_path / "a.wav")
    assert str(caught.value).split("assert ")[0].strip().count("\n") == 0


@pytest.mark.parametrize("promised", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_the_example_reads_what_recorders_write_to_its_end_from_a_file_and_from_a_pipe(
    folder, tmp_path, promised
):
    content = wav_bytes(promised=promised)
    content = content[:12] + b"LIST" + struct.pack("<I", 5000) + bytes(5000) + content[12:]
    (tmp_path / "a.wav").write_bytes(content)
    (tmp_path / "whole.wav").write_bytes(WHOLE)
    command = [built("asan") / "features", folder / "norms.safetensors"]
    expected = ran(*command, tmp_path / "whole.wav")
    assert ran(*command, tmp_path / "a.wav") == expected
    piped = subprocess.run([*command, "/dev/stdin"], input=content, capture_output=True, check=True)
    assert piped.stdout.decode() == expected


def test_the_example_notices_that_it_cannot_write(folder, tmp_path):
    command = [built("asan") / "features", folder / "norms.safetensors", write_wav(tmp_path / "a")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"standard output: cannot be written\n")


def test_the_example_says_that_a_file_cannot_be_opened(folder, tmp_path):
    with pytest.raises(AssertionError, match="a.wav: cannot be opened"):
        ran(built("asan") / "features", folder / "norms.safetensors", tmp_path / "a.wav")


@pytest.mark.parametrize("name", NAMES)
def test_every_wrong_call_gets_its_status_and_a_text(folder, name):
    ran(built("asan") / "c_errors", folder / f"{name}.safetensors")


def test_audio_is_too_long_where_its_features_are_larger_than_a_run_can_hold(tmp_path):
    program = Program()
    frequency = {"frequency": floats(1, 1024)}
    value = program.add(
        "sinusoids", [front_end(program, 12)], ints={"columns": 2048}, tensors=frequency
    )
    program.outputs = [value]
    write_program(program, tmp_path / "p.safetensors", {})
    # 4 h: 46 million rows of 8 KiB
    ran(built("asan") / "c_errors", tmp_path / "p.safetensors")


def said_by_c_status(program, n_samples, environment=None):
    """Version, status and text of a run of silence in C."""
    command = [built("asan") / "c_status", program, str(n_samples)]
    done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    version, status = done.stdout.decode().splitlines()
    return version, *status.split(" ", 1)


def test_the_library_says_the_version_of_the_package(folder):
    with open(ROOT / "pyproject.toml", "rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert said_by_c_status(folder / "norms.safetensors", 800) == (version, "0", "")
    assert (built("asan").parents[1] / "csrc" / "capi" / f"libearbit.so.{version}").is_file()


def test_the_library_shows_what_its_header_declares_and_nothing_else():
    header = (ROOT / "csrc" / "capi" / "earbit.h").read_text(encoding="utf-8")
    declared = re.findall(r"^EARBIT_API [^(]*?(\w+)\(", header, re.MULTILINE)
    library = built("debug").parents[1] / "csrc" / "capi" / "libearbit.so"
    shown = ran(Path("/usr/bin/env"), "nm", "-D", "--defined-only", library)
    assert sorted(line.split()[-1] for line in shown.splitlines()) == sorted(declared)


def test_what_is_installed_tells_compilers_where_it_lies(tmp_path):
    build = built("asan").parents[1]
    cmake = shutil.which("cmake") or Path(sys.executable).with_name("cmake")
    subprocess.run([cmake, "--install", build, "--prefix", tmp_path], check=True, timeout=60)
    (file,) = tmp_path.rglob("earbit.pc")
    variables = dict(re.findall(r"^(\w+)=\$\{pcfiledir\}/(.*)$", file.read_text(), re.MULTILINE))
    assert (file.parent / variables["includedir"] / "earbit.h").is_file()
    assert (file.parent / variables["libdir"] / "libearbit.so").is_file()


def test_a_wrong_instruction_set_is_named_on_one_line_of_ascii(folder):
    environment = os.environb | {b"EARBIT_ISA": b"a\nb\xff" + b"c" * 100}
    _, status, text = said_by_c_status(folder / "norms.safetensors", 800, environment)
    assert status == "3"
    assert f"'a?b?{'c' * 56}...' is not available; this CPU has scalar" in text


MISMATCHES = {
    "add": ("add of 79 and 40", {}),
    "attention_f32": (
        "attention_f32 of 40 keys and an input of 79 rows, expected 40",
        {"ints": {"heads": 3, "radius": -1}, "floats": {"score_scale": 0.5}},
    ),
    "repeat": ("repeat of 40 frames, 1 times, to 79", {"ints": {"times": 1}}),
}


def write_mismatch(path, op, *, is_head=False):
    """A program whose values do not fit each other; with is_head, those of its head alone."""
    _, attributes = MISMATCHES[op]
    program = Program()
    value = front_end(program, 12)
    half = {"weight": floats(2, 12, 12)}
    halved = program.add("conv_f32", [value], ints=PLAIN | {"stride": 2}, tensors=half)
    inputs = {"add": [value, halved], "repeat": [halved, value]}.get(op, [value, halved, halved])
    unfit = program.add(op, inputs, **attributes)
    program.outputs = [value if is_head else unfit]
    if is_head:
        labels = [f"speaker {i}" for i in range(12)]
        program.head = {"task": "t", "kind": "segments", "value": unfit, "labels": labels}
    write_program(program, path, {"name": op})
    return path


@pytest.mark.parametrize("op", MISMATCHES)
def test_values_that_do_not_fit_each_other_are_the_fault_of_the_file(tmp_path, op):
    path = write_mismatch(tmp_path / "a.safetensors", op)
    _, status, text = said_by_c_status(path, 800)
    assert (status, text.endswith("; export the program again")) == ("1", True)
    assert MISMATCHES[op][0] in text
    session = Session(path)
    for call in (session.run, session.profile):
        with pytest.raises(FormatError, match=f"{MISMATCHES[op][0]}.*; export the program again"):
            call(np.zeros(800, np.float32))


@pytest.mark.parametrize("op", MISMATCHES)
def test_a_head_of_values_that_do_not_fit_each_other_is_refused_at_load(tmp_path, op):
    path = write_mismatch(tmp_path / "a.safetensors", op, is_head=True)
    _, status, text = said_by_c_status(path, 800)
    assert (status, text.startswith(f"head: {op} of ")) == ("1", True)
    with pytest.raises(FormatError, match=f"head: {op} of .*; export the program again"):
        Session(path)


def test_a_value_that_would_be_too_large_is_the_fault_of_the_audio(tmp_path):
    program = Program()
    frequency = {"frequency": floats(1, 2**19)}
    large = program.add("sinusoids", [WAVEFORM], ints={"columns": 2**20}, tensors=frequency)
    program.outputs = [program.add("mean_frames", [large])]
    write_program(program, tmp_path / "a.safetensors", {"name": "large"})
    _, status, text = said_by_c_status(tmp_path / "a.safetensors", 4200)
    assert status == "2"
    assert "larger than 32 GiB; cut the audio" in text


@pytest.mark.parametrize("name", ["binary_attention", "unfit", *HEADS])
def test_what_has_too_little_memory_says_so_and_works_when_there_is_enough(folder, tmp_path, name):
    path = folder / f"{name}.safetensors"
    if name == "unfit":
        path = write_mismatch(tmp_path / "a.safetensors", "add")
    elif name in HEADS:
        path = write_head(tmp_path, name)
    assert ran(built("asan") / "no_memory", path).startswith("too little for ")


def test_a_host_that_takes_the_library_out_after_two_threads_ran_lives_on(folder):
    tests = built("debug")
    library = tests.parents[1] / "csrc" / "capi" / "libearbit.so"
    said = ran(tests / "unload", library, folder / "float_attention.safetensors", 5)
    assert said == f"5 times the same {1599 * 12} values\n"


def test_threads_that_open_run_and_close_at_once_get_the_right_bits(folder):
    said = ran(built("asan") / "stress", folder / "binary_attention.safetensors", 8, 24)
    assert said == "8 threads of 24 calls, 0 wrong\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_thread_sanitizer_finds_no_race(folder, name):
    said = ran(built("tsan") / "stress", folder / f"{name}.safetensors", 16, 200)
    assert said == "16 threads of 200 calls, 0 wrong\n"
