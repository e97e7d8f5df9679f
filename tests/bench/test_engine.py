"""The process that runs one engine: what it says, and what it hears."""

import json
import subprocess
import sys

import numpy as np
import pytest

from earbit.bench.engine import loaded, speech_like
from earbit.runtime.session import Session


def said(program, output, heard: str) -> list[dict]:
    """The lines of an earbit engine for half a second of audio, one thread."""
    engine = [sys.executable, "-m", "earbit.bench.engine", "earbit", str(program), "0.5", "1"]
    command = [*engine, str(output)]
    done = subprocess.run(command, input=heard, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("n_runs", [0, 3])
def test_an_engine_says_that_it_is_ready_and_then_a_time_for_every_line_until_it_is_left(
    program, tmp_path, n_runs
):
    output = tmp_path / "output.npy"
    ready, *runs = said(program, output, "run\n" * n_runs)
    assert np.array_equal(np.load(output), Session(program).run(speech_like(8000)))
    assert ready == {"shape": [24, 64], "is_finite": True}
    assert len(runs) == n_runs
    for run in runs:
        assert run.keys() == {"ms", "peak_rss_bytes"}
        assert 0 < run["ms"] < 60_000
        assert run["peak_rss_bytes"] > 2**20


def test_the_earbit_engine_never_imports_torch(program):
    code = (
        "import sys; from pathlib import Path; from earbit.bench.engine import loaded, speech_like;"
        "loaded('earbit', Path(sys.argv[1]), speech_like(8000), 1)();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(program)], check=False).returncode == 0


def test_all_engines_hear_the_same_noise_at_the_level_of_speech():
    audio = speech_like(16_000)
    assert np.array_equal(audio, speech_like(16_000))
    assert audio.dtype == np.float32
    assert audio.std() == pytest.approx(0.05, rel=0.05)
    assert not np.array_equal(audio, speech_like(16_000, seed=1))


def test_an_engine_that_is_not_there_is_an_error(program):
    with pytest.raises(ValueError, match="no engine 'ghost-int8'"):
        loaded("ghost-int8", program, speech_like(8000), 1)
