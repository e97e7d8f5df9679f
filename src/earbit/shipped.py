"""Programs that are part of earbit, by name; `models/README.md` beside this file describes them."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "models"
SUFFIX = ".safetensors"


def shipped_programs() -> list[str]:
    """Names of all programs, in alphabetic order."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def program_path(where: str | bytes | os.PathLike[str]) -> Path:
    """The path of a program: that of a name here, unless a file or folder has this name."""
    path = Path(os.fsdecode(where))
    is_name = path.name == str(path) and path.name in shipped_programs()
    return FOLDER / f"{path.name}{SUFFIX}" if is_name and not path.exists() else path
