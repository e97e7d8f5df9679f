"""Checks the place of a program before a model is built, and clears it of files left behind."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from earbit.audio.child_process import has_ended
from earbit.errors import ConfigError
from earbit.files import require_place
from earbit.model_names import format_of

SUFFIX = ".safetensors"
MIN_AGE_S = 3600
"""Younger files may belong to a process of another machine, whose id is not known here."""


def require_program_place(out: Path) -> None:
    """Raises ConfigError for another suffix and for an existing model or head.

    Raises DataError where no file can be written.
    """
    if out.suffix != SUFFIX:
        raise ConfigError(
            f"{out}: a program file ends in {SUFFIX}; --format onnx and --format hf write folders"
        )
    require_place(out)
    held = format_of(out)
    if held is not None and not held.startswith("earbit-program-"):
        raise ConfigError(
            f"{out}: holds a trained model or head ({held}), which a program would replace; give "
            "another --out"
        )


def remove_left_behind(folder: Path, before: str, after: str) -> None:
    """Removes temporary files and folders of killed processes, whose id is in the name.

    before, after: what stands before and after the id.  Those of the last hour stay, and those that
    cannot be removed, such as files of another user.
    """
    for path in folder.iterdir():
        number = path.name.removeprefix(before).removesuffix(after)
        if path.name != f"{before}{number}{after}" or not has_ended(number):
            continue
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < MIN_AGE_S:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
