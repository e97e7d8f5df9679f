"""What the targets of the Makefile would do; nothing of it is done here."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def planned(*arguments):
    command = ["make", "--dry-run", "--always-make", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_setup_installs_earbit_and_nothing_for_developers():
    said = planned("setup")
    assert '--editable ".[train,synth,report]"' in said
    assert "--group dev" not in said
    assert said.index("some minutes") < said.index("--editable")


@pytest.mark.parametrize("system_cmake", ["", "cmake"])
def test_the_library_for_c_needs_cmake_and_no_other_package(system_cmake):
    said = planned("libearbit", f"SYSTEM_CMAKE={system_cmake}")
    cmake = system_cmake or ".venv/bin/cmake"
    assert f"{cmake} --build --preset libearbit" in said
    installed = [line for line in said.splitlines() if "--constraint" in line]
    assert len(installed) == (not system_cmake)
    assert all('"cmake>=' in line for line in installed)
    assert "--editable" not in said


def test_a_warning_is_an_error_in_the_builds_of_tests_and_not_in_those_of_users():
    presets = json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]
    strict, of_tests = "CMAKE_COMPILE_WARNING_AS_ERROR", {"tests"}
    for one in presets:
        if one.get("inherits") in of_tests:
            of_tests.add(one["name"])
        assert (strict in one.get("cacheVariables", {})) == (one["name"] == "tests")
    assert of_tests == {one["name"] for one in presets} - {"libearbit"}
    assert strict in (ROOT / ".ci" / "run").read_text()
    for folder in (".", "csrc/capi", "tests/csrc"):
        assert "-Werror" not in (ROOT / folder / "CMakeLists.txt").read_text()


def test_docs_installs_its_own_group_and_takes_a_warning_for_an_error():
    said = planned("docs")
    assert "--group docs" in said
    assert "mkdocs build --quiet --strict" in said


def test_help_names_the_targets_of_a_user():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"setup", "study", "test", "libearbit", "docs"} <= set(said.stdout.split())
