"""Every line of code of docs/runtime.md runs, in its order, and the example is kind."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_programs import write_programs

from earbit import _core
from earbit.cli.main import main
from earbit.runtime import Session

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "runtime.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_programs(tmp_path)
    (tmp_path / "norms.safetensors").rename(tmp_path / "hubert.safetensors")
    (tmp_path / "head.safetensors").rename(tmp_path / "words.safetensors")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    soundfile.write(tmp_path / "speech.wav", noise, 16_000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_of_the_runtime_runs_as_it_stands(folder, capsys):
    names = {}
    for language, code in BLOCKS:
        if language == "python":
            exec(compile(code, "docs/runtime.md", "exec"), names)
            continue
        for line in code.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "earbit"
            main(arguments)
    assert "speech.wav: this is audio (wav), not a program" in capsys.readouterr().out
    assert {"states", "both", "slowest"} <= set(names)
    words = Session("words.safetensors")
    assert np.array_equal(names["scores"], words.scores(names["waveform"]))
    assert tuple(names["labels"]) == words.labels


@pytest.mark.parametrize("page", ["runtime.md", "python.md"])
def test_pages_begin_with_a_program_that_is_there(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    first = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert 'Session("keywords-w1a1")' in first


def test_the_page_of_python_quantizes_and_exports_as_it_stands(folder):
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    names = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL)[1:]:
        exec(compile(code, "docs/python.md", "exec"), names)
    features = Session("small.safetensors").run(names["audio"])
    assert features.shape[1] == names["output"].states[-1].shape[2]


def test_the_page_of_c_says_where_the_program_that_comes_with_earbit_lies():
    page = (ROOT / "docs" / "c.md").read_text(encoding="utf-8")
    assert (ROOT / re.search(r"`(src/earbit/models/[^`]+)`", page)[1]).is_file()
    code = re.search(r"`python -c \"([^`]+)\"`", page)[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).name == "keywords-w1a1.safetensors"


def test_the_page_names_every_public_part_of_a_session_and_every_instruction_set(folder):
    public = {name for name in dir(Session("hubert.safetensors")) if not name.startswith("_")}
    said = set(re.findall(r"\.(\w+)", "".join(code for _, code in BLOCKS)))
    said |= set(re.findall(r"`(\w+)(?:\(\))?`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))
    assert not public - said
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {kernel["isa"] for kernel in _core.kernels()} <= set(rows)


def example(*arguments):
    command = [sys.executable, str(ROOT / "examples" / "features.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_example_in_python_says_how_many_frames_came_out(folder):
    done = example("hubert.safetensors", "speech.wav")
    assert done.stdout.startswith("1599 frames of 12 values, kernels {"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage: "),
        (["hubert.safetensors"], "usage: "),
        (["missing.safetensors", "speech.wav"], "missing.safetensors: no such file"),
        (["speech.wav", "hubert.safetensors"], "speech.wav: this is audio (wav), not a program"),
        (["hubert.safetensors", "missing.wav"], "missing.wav: no such file"),
        (["hubert.safetensors", "words.safetensors"], "words.safetensors: a program or model"),
    ],
)
def test_the_example_in_python_says_what_is_wrong_in_one_line(folder, arguments, said):
    done = example(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
