"""examples/keywords.c prints what `earbit run --stream -` prints, for audio of any length."""

import os
import subprocess

import numpy as np
import pytest
import soundfile

from earbit import Session
from earbit.run_stream import as_text, changes, stream_events
from native_build import ROOT, built

PROGRAM = Session("keywords-w1a1").path
NOISE = np.random.default_rng(0).integers(-9_000, 9_000, 50_000).astype("<i2")


def keywords(program, data):
    command = [built("asan") / "keywords", program]
    done = subprocess.run(command, cwd=ROOT, input=data, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def events(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    return list(changes(stream_events(PROGRAM, tmp_path / "a.wav")))


SEEDED = np.random.default_rng(1)
ROUNDED_TWICE = [n for n in range(400, 16_000) if f"{round(n / 16e3, 3):.2f}" != f"{n / 16e3:.2f}"]
"""Lengths whose seconds have other digits when they are rounded to milliseconds first."""
LENGTHS = [*SEEDED.choice(ROUNDED_TWICE, 3), *SEEDED.integers(400, 50_000, 5)]


@pytest.mark.parametrize("n", [401, 15_999, 16_001, 48_000, 50_000, *map(int, LENGTHS)])
def test_the_example_prints_the_labels_of_a_stream(tmp_path, n):
    # Louder every second, so that labels change.
    samples = (NOISE * np.repeat([0.002, 0.3, 1.0, 0.02], 12_500))[:n].astype("<i2")
    expected = "".join(map(as_text, events(tmp_path, samples)))
    assert keywords(PROGRAM, samples.tobytes()) == (0, expected, "")


def test_the_example_notices_that_it_cannot_write_or_read(tmp_path):
    command = [built("asan") / "keywords", PROGRAM]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, input=NOISE.tobytes(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"standard output: cannot be written\n")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        done = subprocess.run(command, stdin=folder, capture_output=True, check=False)
    finally:
        os.close(folder)
    assert (done.returncode, done.stderr) == (1, b"standard input: cannot be read\n")


@pytest.mark.parametrize(
    ("program", "data", "named"),
    [
        ("no.safetensors", b"", "no.safetensors: "),
        ("encoder-w1a1", b"", "no head of one class"),
        ("keywords-w1a1", b"", "standard input: "),
        ("keywords-w1a1", b"RIFF" + bytes(40_000), "a wav file"),
        ("keywords-w1a1", bytes(600), "allowed are 400"),
    ],
)
def test_the_example_says_what_is_wrong(program, data, named):
    path = Session(program).path if "." not in program else program
    status, said, why = keywords(path, data)
    assert (status, said) == (1, "")
    assert named in why
