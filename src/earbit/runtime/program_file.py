"""Reads a program file and checks it before anything in it is used (docs/format.md).

Nothing is unpickled and no path from the file is opened.  Shapes and types of tensors are checked
once more by the compiled core, op by op, against what each op needs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from earbit.errors import FormatError

FORMAT = "earbit-program-1"
METADATA_KEY = "earbit"
MAX_OPS = 100_000
DTYPES = ("float32", "int32", "uint64", "uint8")


@dataclass(frozen=True, slots=True)
class Op:
    """One op; the values that it reads come before the one that it makes."""

    name: str
    inputs: tuple[int, ...]
    ints: dict[str, int]
    floats: dict[str, float]
    tensors: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """A program as it was read."""

    ops: tuple[Op, ...]
    outputs: tuple[int, ...]
    bits: dict[str, int]
    """Packed values by the name of the leaf that reads them."""
    origin: dict[str, Any]
    """Which model and plan it was made from."""


def read_program(path: str | Path) -> ProgramFile:
    """Reads and checks a program; FormatError says what is wrong with the file."""
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
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{path}: not a readable safetensors file ({error}); give a file of `earbit export`"
        ) from error
    try:
        if text is None:
            raise FormatError("no earbit metadata; give a file of `earbit export`")
        return _parse(json.loads(text), tensors)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: damaged metadata ({error}); export it again") from error


def _parse(header: Any, tensors: Mapping[str, np.ndarray]) -> ProgramFile:
    header = _expect(header, dict, "header")
    if header.get("format") != FORMAT:
        raise FormatError(
            f"format {header.get('format')!r}, this version runs {FORMAT!r}; a trained model "
            "becomes a program by `earbit export`"
        )
    for name, tensor in tensors.items():
        if tensor.dtype.name not in DTYPES:
            raise FormatError(f"tensor {name!r} is {tensor.dtype}; allowed: {', '.join(DTYPES)}")
    records = _expect(header.get("ops"), list, "ops")
    if not 0 < len(records) <= MAX_OPS:
        raise FormatError(f"{len(records)} ops; allowed: 1 to {MAX_OPS}")
    ops = tuple(_parse_op(i, record, tensors) for i, record in enumerate(records))
    outputs = _values(header.get("outputs"), "outputs", len(ops) + 1)
    if not outputs:
        raise FormatError("no outputs")
    bits = _expect(header.get("bits"), dict, "bits")
    for name, value in bits.items():
        _values([value], f"bits of {name!r}", len(ops) + 1)
    return ProgramFile(ops, outputs, bits, _expect(header.get("origin"), dict, "origin"))


def _parse_op(i: int, record: Any, tensors: Mapping[str, np.ndarray]) -> Op:
    where = f"op {i}"
    record = _expect(record, dict, where)
    names = _expect(record.get("tensors"), dict, f"{where} tensors")
    for role, name in names.items():
        if not isinstance(name, str) or name not in tensors:
            raise FormatError(f"{where}: tensor {role!r} is {name!r}, which is not in the file")
    ints = _expect(record.get("ints"), dict, f"{where} ints")
    floats = _expect(record.get("floats"), dict, f"{where} floats")
    for role, number in ints.items():
        if type(number) is not int or abs(number) >= 2**31:
            raise FormatError(f"{where}: {role}={number!r} is not a 32-bit integer")
    for role, number in floats.items():
        # Compared as it is: an integer may be too large to become a float.
        if type(number) not in (int, float) or not abs(number) <= sys.float_info.max:
            raise FormatError(f"{where}: {role}={number!r} is not a finite number")
    return Op(
        name=_expect(record.get("op"), str, f"{where} name"),
        inputs=_values(record.get("inputs"), f"{where} inputs", i + 1),
        ints=ints,
        floats={role: float(number) for role, number in floats.items()},
        tensors={role: tensors[name] for role, name in names.items()},
    )


def _values(value: Any, where: str, n_values: int) -> tuple[int, ...]:
    for item in _expect(value, list, where):
        if type(item) is not int or not 0 <= item < n_values:
            raise FormatError(f"{where}: value {item!r}; allowed are 0 to {n_values - 1}")
    return tuple(value)


def _expect(value: Any, kind: type, where: str) -> Any:
    if type(value) is not kind:
        raise FormatError(f"{where}: {type(value).__name__}, expected {kind.__name__}")
    return value
