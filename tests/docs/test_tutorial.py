"""docs/tutorial.md, run as it stands, in its order, with fewer steps of training."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from blocks import BLOCKS, commands_of

PAGE = "docs/tutorial.md"
TUTORIAL = [block for block in BLOCKS if block.page == PAGE]
STEPS = (
    (r"n_steps=\d+", "n_steps=4"),
    (r"--n-steps \d+", "--n-steps 4"),
    (r"(superb \w+ --task ks)", r"\1 --n-steps 20"),
)
"""Fewer steps.  The speech, its features and the packed program are those of the page."""


def shortened(code):
    for pattern, replacement in STEPS:
        code = re.sub(pattern, replacement, code)
    return code


def test_each_command_of_the_tutorial_is_followed_by_its_output():
    after_setup = [block for block in TUTORIAL if block.language == "sh"][1:]
    for block in after_setup:
        assert len(commands_of(block.code)) == 1, block.place
        following = TUTORIAL[TUTORIAL.index(block) + 1]
        assert following.language == "text", block.place


def test_trainings_are_shortened():
    code = "".join(shortened(block.code) for block in TUTORIAL if block.language == "sh")
    assert code.count("n_steps=4 ") + code.count("--n-steps 4 ") == 2
    assert code.count("--task ks --n-steps 20") == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("script") is None, reason="there is no script, of bsdutils")
def test_the_tutorial_runs_and_prints_such_lines(tmp_path):
    scripts = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": os.pathsep.join((scripts, os.environ["PATH"])), "COLUMNS": "200"}
    for name in ("EARBIT_CACHE", "XDG_CACHE_HOME"):  # the page names the default folder
        env.pop(name, None)
    soundfile.write(tmp_path / "speech.wav", 0.1 * np.ones(16_000), 16_000)
    said = ""
    setup, *blocks = TUTORIAL
    assert "make setup" in setup.code
    for block in blocks:
        if block.language == "sh":
            # On a terminal, where commands print texts instead of JSON.
            command = ["script", "-qec", shortened(block.code), "/dev/null"]
        elif block.language == "python":
            command = [sys.executable, "-c", block.code]
        else:
            begins = [line.split()[0].removeprefix("...") for line in block.code.splitlines()]
            assert [word for word in begins if word not in said] == [], f"{block.place}: {said}"
            continue
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        said = done.stdout
        assert done.returncode == 0, f"{block.place}: {said}{done.stderr}"
