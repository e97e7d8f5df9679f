"""Programs that are part of earbit, by name; `models/README.md` beside this file describes them."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

FOLDER = Path(__file__).parent / "models"
SUFFIX = ".safetensors"
NEAR = 0.75
"""Least similarity of a mistyped name, of 1."""


def shipped_programs() -> list[str]:
    """Names of all programs, in alphabetic order."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def program_path(where: str | bytes | os.PathLike[str]) -> Path:
    """The path of a program: that of a name here, unless a file or a model has this name.

    A folder without a model, such as one with recordings, does not hide the program.
    """
    path = Path(os.fsdecode(where))
    is_name = path.name == str(path) and path.name in shipped_programs()
    return FOLDER / f"{path.name}{SUFFIX}" if is_name and not _is_own(path) else path


def near_program(path: Path) -> str | None:
    """The program here that a word resembles, as `Keywords-w1a1` and `keywords-w1a1.safetensors`.

    None for a path in a folder.
    """
    if path.name != str(path):
        return None
    word = path.name.lower().removesuffix(SUFFIX)
    near = difflib.get_close_matches(word, shipped_programs(), 1, NEAR)
    return near[0] if near else None


def _is_own(path: Path) -> bool:
    is_folder = os.path.isdir(path)
    return os.path.exists(path / "model.safetensors" if is_folder else path)
