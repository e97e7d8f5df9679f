"""The runtime needs numpy, soundfile and soxr alone; other commands name what they lack."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import earbit
from earbit import export_to, preset, random_model
from earbit.errors import UnsupportedError
from earbit.extras import needed_for_training
from earbit.runtime.program_file import file_digest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = {Requirement(line).name for line in PROJECT["dependencies"]}
HIDE_ALL_OTHERS = """
import sys
HIDDEN, KEPT = {hidden!r}, {kept!r}
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in HIDDEN:
            return self.finder.find_spec(name, path, target)
    def find_distributions(self, *context):
        found = getattr(self.finder, "find_distributions", lambda *context: ())(*context)
        return (one for one in found if one.name.lower().replace("_", "-") in KEPT)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A program, a recording, and a `sitecustomize` that hides packages outside the runtime."""
    folder = tmp_path_factory.mktemp("runtime")
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    model = random_model(preset("hubert-tiny"), 0)
    export_to(model, folder / "tiny.safetensors", name="tiny", waveform=noise)
    soundfile.write(folder / "noise.wav", noise, 16000)
    (folder / "tiny-ks").mkdir()
    score = {"task": "ks", "metric": "accuracy", "value": 0.9}
    score["model_digest"] = file_digest(folder / "tiny.safetensors")
    (folder / "tiny-ks" / "scores.json").write_text(json.dumps(score))
    kept = {"earbit", *with_requirements(RUNTIME)}
    hidden = sorted(
        module
        for module, distributions in metadata.packages_distributions().items()
        if not kept & {canonicalize_name(name) for name in distributions}
        and not module.startswith("_")
    )
    (folder / "sitecustomize.py").write_text(HIDE_ALL_OTHERS.format(hidden=hidden, kept=kept))
    return folder


def with_requirements(names):
    """Names of distributions and of all that they need."""
    found = set()
    queue = list(names)
    while queue:
        name = canonicalize_name(queue.pop())
        if name not in found:
            found.add(name)
            needs = map(Requirement, metadata.requires(name) or [])
            queue += [
                one.name
                for one in needs
                if one.marker is None or one.marker.evaluate({"extra": ""})
            ]
    return found


def earbit_in(folder, *args):
    return subprocess.run(
        [sys.executable, "-m", "earbit", *map(str, args)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


def test_dependencies_are_those_of_the_runtime():
    assert {"numpy", "soundfile", "soxr"} == RUNTIME


@pytest.mark.parametrize(
    "command",
    [
        ["doctor"],
        ["--help"],
        ["run", "tiny.safetensors", "noise.wav", "--out", "features.npz"],
        ["bench", "tiny.safetensors", "--engines", "none", "--seconds", "0.5", "--runs", "1"],
        ["bench", "tiny.safetensors", "--seconds", "0.5", "--runs", "1"],
        [*("bench", "tiny.safetensors", "--engines", "none", "--seconds", "0.5", "--runs", "1")]
        + ["--scores", "tiny-ks"],
    ],
    ids=" ".join,
)
def test_the_runtime_commands_work_with_the_dependencies_alone(folder, command):
    done = earbit_in(folder, *command)
    assert done.returncode == 0, done.stderr
    if command == ["bench", "tiny.safetensors", "--seconds", "0.5", "--runs", "1"]:
        assert (
            "torch: left out, there is no torch, no safetensors; install them with: " in done.stderr
        )


@pytest.mark.parametrize(
    "command",
    [
        ["profile", "hubert-tiny"],
        ["pretrain", "hubert-tiny", "--out", "new"],
        ["prepare", "folder", "--root", ".", "--out", "new"],
        ["export", "hubert-tiny", "--out", "new.safetensors"],
        ["superb", "hubert-tiny", "--task", "ks", "--out", "new"],
    ],
    ids=lambda command: command[0],
)
def test_other_commands_name_the_one_command_that_installs_what_they_need(folder, command):
    done = earbit_in(folder, *command)
    assert done.returncode == 2
    assert re.fullmatch(
        rf"earbit: `earbit {command[0]}` needs \w+ of the extra `train`; install what "
        "training and export need with: "
        rf"{re.escape(sys.executable)} -m pip install .*torch.*\n",
        done.stderr,
    )
    assert not (folder / "new").exists()


@pytest.mark.parametrize("what", [["hubert-tiny", "--plan", "w1a1"], ["model"]])
def test_bench_of_what_is_no_program_also_says_that_a_program_needs_no_training_install(
    folder, what
):
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "model.safetensors").touch()
    done = earbit_in(folder, "bench", *what, "--engines", "none")
    assert done.returncode == 2
    kind = "model" if what == ["model"] else "preset"
    line = done.stderr.splitlines()[-1]  # before it, a busy machine is warned of
    assert line.startswith(
        f"earbit: {what[0]}: a program of this {kind} needs torch of the extra `train`; give a "
        "program file of `earbit export`, or install what training and export need with: "
    )


def test_a_star_import_takes_the_names_that_need_no_pytorch(folder):
    code = "from earbit import *; print(Session.__name__, 'load_model' in dir())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("Session False\n", "")


def test_a_python_name_that_needs_pytorch_says_so(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(earbit, "import_module", missing)
    with pytest.raises(
        UnsupportedError, match="earbit.load_model needs torch of the extra `train`; "
    ):
        earbit.load_model  # noqa: B018


def test_a_preset_without_pytorch_says_so_too(folder):
    done = subprocess.run(
        [sys.executable, "-c", "import earbit; earbit.preset('hubert-tiny')"],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1].startswith(
        "earbit.errors.UnsupportedError: earbit.preset needs torch of the extra `train`; install "
    )


def test_a_missing_module_outside_the_extra_is_not_explained_away():
    assert needed_for_training(ModuleNotFoundError(name="earbit.lost"), "it") is None


def test_every_module_of_the_extra_is_recognised():
    names = {Requirement(line).name for line in PROJECT["optional-dependencies"]["train"]}
    modules = {
        module.partition(".")[0]
        for module, distributions in metadata.packages_distributions().items()
        if names & set(distributions) and not module.startswith("_")
    }
    for module in modules - {"functorch", "torchgen"}:
        assert needed_for_training(ModuleNotFoundError(name=module), "it") is not None, module
