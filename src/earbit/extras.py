"""Optional requirements of earbit: imports them, or names the command that installs them."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from earbit.errors import UnsupportedError


def imported(module: str, extra: str, purpose: str) -> Any:
    """Imports a module of an extra; raises UnsupportedError if it is not installed.

    purpose: subject of the message, as in "a figure needs matplotlib".
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UnsupportedError(
            f"{purpose} needs {module} of the extra `{extra}`; install it with: "
            f"{install_command(extra)}"
        ) from error


TRAIN = "train"
"""Extra with the packages of training, evaluation and export.  The runtime does without them."""
_OF_TRAINING = (
    *("jinja2", "jiwer", "lhotse", "pyannote", "rich"),
    *("safetensors", "scipy", "sklearn", "torch", "urllib3", "yaml"),
)
"""Modules of this extra."""


def needed_for_training(
    missing: ModuleNotFoundError, purpose: str, instead: str = ""
) -> UnsupportedError | None:
    """Returns the error to show if a missing module is of the extra `train`; None otherwise.

    instead: what the user may do without the extra, as in "give a program file".
    """
    module = str(missing.name).partition(".")[0]
    if module not in _OF_TRAINING:
        return None
    alternative = f"{instead}, or " if instead else ""
    return UnsupportedError(
        f"{purpose} needs {module} of the extra `{TRAIN}`; {alternative}install what training and "
        f"export need with: {install_command(TRAIN)}"
    )


def install_command(extra: str) -> str:
    """Pip command that installs the packages of an extra, for example `report`.

    It names the running Python and the packages themselves, so it holds for every kind of
    installation of earbit and does not build earbit again.
    """
    marker = re.compile(rf"""extra\s*==\s*["']{re.escape(extra)}["']""")
    packages = [package for package, condition in _requirements() if marker.search(condition)]
    return _pip_install(packages or [f"earbit[{extra}]"])


def install_command_of(packages: Iterable[str]) -> str:
    """Returns the pip command that installs packages, in the versions that earbit's extras ask for.

    It installs no other package of these extras.
    """
    asked = {re.split(r"[^\w.-]", package)[0]: package for package, _ in _requirements()}
    return _pip_install([asked.get(package, package) for package in packages])


def _pip_install(packages: Iterable[str]) -> str:
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])


def _requirements() -> list[tuple[str, str]]:
    """Packages with versions, and conditions, in the metadata of earbit; empty without metadata."""
    # Imported here: it takes most of the time of `import earbit`.
    from importlib import metadata

    try:
        lines = metadata.requires("earbit") or []
    except metadata.PackageNotFoundError:
        return []
    pairs = (line.partition(";")[::2] for line in lines)
    return [(package.strip(), condition) for package, condition in pairs]
