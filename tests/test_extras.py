"""The command for optional requirements is one that pip can run, whatever earbit came from."""

import shlex
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from earbit.extras import install_command

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_names_this_python_and_all_packages_of_the_extra(extra):
    python, *pip, _ = (words := shlex.split(install_command(extra)))[:5]
    assert (python, pip) == (sys.executable, ["-m", "pip", "install"])
    assert {Requirement(word) for word in words[4:]} == set(map(Requirement, EXTRAS[extra]))


def test_without_metadata_of_earbit_the_command_names_its_extra(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert shlex.split(install_command("report"))[4:] == ["earbit[report]"]
