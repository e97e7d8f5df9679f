"""Output that cannot be written: one line and status 2, as other errors of the machine."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earbit.cli.main import main

FULL = Path("/dev/full")
SAID = (
    "earbit: standard output cannot be written (No space left on device); send it to another place"
)
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="Linux has /dev/full")


@pytest.fixture
def noise(tmp_path):
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 20_000), 16_000)
    return path


def earbit_to(stdout, *args, is_buffered=True):
    """Status and lines on standard error of a command."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, *([] if is_buffered else ["-u"]), "-m", "earbit", *map(str, args)]
    done = subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment
    )
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("is_buffered", [True, False])
@pytest.mark.parametrize("args", [["doctor"], ["--version"], ["--help"], ["run", "--help"]])
def test_a_full_disk_behind_standard_output_is_one_line(args, is_buffered):
    with FULL.open("w") as full:
        assert earbit_to(full, *args, is_buffered=is_buffered) == (2, [SAID])


@pytest.mark.parametrize("more", [[], ["--stream"]])
def test_results_on_a_full_disk_are_an_error(more, tmp_path, noise):
    with FULL.open("w") as full:
        status, lines = earbit_to(full, "run", "keywords-w1a1", noise, *more)
    assert (status, lines[-1]) == (2, SAID)
    assert not any("Traceback" in line for line in lines)


def test_json_on_a_full_device_is_an_error_that_names_it(noise, capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "keywords-w1a1", str(noise), "--json", str(FULL)])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "earbit: /dev/full: cannot be written (No space left on device); give another place\n"
    )


def test_a_reader_that_is_gone_at_the_end_of_the_output_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as gone:
        assert earbit_to(gone, "--version") == (0, [])


def test_an_error_of_the_machine_elsewhere_stays_a_bug(monkeypatch):
    def fails(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("earbit.runtime.doctor.examine", fails)
    with pytest.raises(OSError, match="No space"):
        main(["doctor"])
