"""Opens a program file; the compiled core reads and checks it (csrc/file, docs/format.md)."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earbit import _core
from earbit.errors import ConfigError, FormatError, shown
from earbit.near_names import near_names
from earbit.shipped import near_program, program_path, shipped_programs

MAX_PATH_BYTES = 4096
"""The longest path of Linux."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a program: its kind and labels."""

    task: str
    kind: str
    """`class`: scores of a clip; `sequence`: scores per frame, for CTC; `vector`: one vector per
    clip; `segments`: scores per frame and speaker."""
    value: int
    """Value of the scores, with a column per label, or of the vector."""
    labels: tuple[str, ...]
    """Classes, symbols with the blank first, or speakers; empty for a vector."""
    slots: tuple[int, ...]
    """Number of labels of every slot; a class has one label of each."""
    min_log_odds: float | None
    """Log odds of a label against all others below which it is rejected; None if none is."""
    min_samples: int
    """The shortest audio that the head takes."""


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """Content of a program file."""

    path: Path
    program: _core.Program
    outputs: tuple[int, ...]
    bits: dict[str, int]
    """Packed inputs by leaf name."""
    origin: dict[str, Any]
    """Source model and plan."""
    digest: str
    """Digest of the whole file, as 16 hexadecimal digits."""
    head: Head | None


def read_program(path: str | bytes | os.PathLike[str]) -> ProgramFile:
    """Reads and checks a program, or one of `shipped_programs` by its name.

    Raises FormatError with the fault and its place.
    """
    path = _checked_path(path)
    try:
        program, outputs, bits, origin, digest, parts = _core.load_program(os.fsencode(path))
        head = None
        if parts is not None:
            task, kind, value, labels, slots, min_log_odds, min_samples = parts
            head = Head(task, kind, value, tuple(labels), tuple(slots), min_log_odds, min_samples)
        return ProgramFile(path, program, tuple(outputs), bits, json.loads(origin), digest, head)
    except ValueError as error:
        # The loader receives bytes without a file name.
        problem = str(error).replace("export MODEL --out", f"export {path} --out")
        problem = problem.replace("--head FOLDER", f"--head {path.parent}")
        raise FormatError(f"{path}: {problem}") from error
    except MemoryError as error:
        raise FormatError(f"{path}: needs more memory than there is; free some") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a program file, by which scores of it are known."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _checked_path(given: str | bytes | os.PathLike[str]) -> Path:
    """The path of an existing file. The loader checks its content."""
    if not isinstance(given, (str, bytes, os.PathLike)):
        raise ConfigError(
            f"a program of type {type(given).__name__}; give the path of a file of `earbit export`"
        )
    if not os.fspath(given):
        raise FormatError("an empty path of a program; give that of a file of `earbit export`")
    n_bytes = len(os.fsencode(given))
    if n_bytes > MAX_PATH_BYTES or "\0" in os.fsdecode(given):
        raise ConfigError(
            f"{shown(given)}: {n_bytes:,} bytes, which are no path but perhaps the content of a "
            "file; give the path of a file of `earbit export`"
        )
    path = program_path(given)
    try:
        if path.is_file():
            return path
        is_folder, is_there = path.is_dir(), path.exists()
        has_model = is_folder and (path / "model.safetensors").is_file()
        settings = path / "config.json"
        # With the key by which transformers chooses a class.
        is_of_transformers = (
            has_model and settings.is_file() and b'"model_type"' in settings.read_bytes()
        )
    except OSError as error:
        raise FormatError(f"{path}: cannot be looked at ({error.strerror})") from error
    if is_there and not is_folder:
        raise FormatError(f"{path}: not a regular file; give a file of `earbit export`")
    if is_folder and not has_model:
        raise FormatError(
            f"{path}: a folder, without a model in it; give a file of `earbit export`"
        )
    if is_of_transformers:
        raise FormatError(
            f"{path}: a folder of transformers; `earbit import {path} --out DIR` makes a "
            "model of earbit of it, and `earbit export DIR --out FILE.safetensors` a program"
        )
    if is_folder:
        raise FormatError(
            f"{path}: a folder; `earbit export {path} --out FILE.safetensors` makes a program of "
            "the model in it (with --plan w8a8 --corpus DIR in 8 bits, if it is not quantized)"
        )
    near = near_names(path)
    if (meant := near_program(path)) is not None:
        raise FormatError(
            f"{path}: no such file; did you mean {meant}, a program that comes with earbit{near}"
        )
    # A single word may be the name of a preset.
    is_word = not near and path.name == str(path) and not path.suffix
    if not is_word:
        raise FormatError(f"{path}: no such file; check the path{near}")
    shipped = f"; programs of earbit: {', '.join(names)}" if (names := shipped_programs()) else ""
    raise FormatError(
        f"{path}: no such file; check the path{shipped}; `earbit export {path} --plan w1a1 --out "
        "FILE.safetensors` makes a program of a preset"
    )
