"""Opens a program file; the compiled core reads and checks it (csrc/file, docs/format.md)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earbit import _core
from earbit.errors import FormatError


@dataclass(frozen=True, slots=True)
class Head:
    """What a program says of its audio, besides features."""

    task: str
    value: int
    """Scores, one row of a column per label."""
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """A program as it was read."""

    program: _core.Program
    outputs: tuple[int, ...]
    bits: dict[str, int]
    """Packed values by the name of the leaf that reads them."""
    origin: dict[str, Any]
    """Which model and plan it was made from."""
    head: Head | None


def read_program(path: str | Path) -> ProgramFile:
    """Reads and checks a program; FormatError says what is wrong with the file, and where."""
    path = Path(path)
    if not path.is_file():
        # A word alone may be meant for a preset.
        is_model = path.is_dir() or path.name == str(path) and not path.suffix
        example = path if is_model else "hubert-base"
        raise FormatError(
            f"{path}: {'a folder' if path.is_dir() else 'no such file'}; "
            f"`earbit export {example} --plan w1a1 --out FILE.safetensors` makes a program of a "
            "preset or model"
        )
    try:
        program, outputs, bits, origin, parts = _core.load_program(os.fsencode(path))
        head = None
        if parts is not None:
            task, value, labels = parts
            head = Head(task, value, tuple(labels))
        return ProgramFile(program, tuple(outputs), bits, json.loads(origin), head)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error
    except MemoryError as error:
        raise FormatError(f"{path}: needs more memory than there is; free some") from error
