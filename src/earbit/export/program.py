"""Builder of a program, and its file (docs/format.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from earbit.export.checksum import checksum
from earbit.files import write_whole

FORMAT = "earbit-program-1"
METADATA_KEY = "earbit"
CHECKSUM_KEY = "earbit-checksum"
WAVEFORM = 0
"""The input value of every program: the audio, float32 (samples, 1)."""


@dataclass(slots=True)
class Program:
    """Ops in order of execution; op n makes value n + 1."""

    ops: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    outputs: list[int] = field(default_factory=list)
    """Values of the hidden states, with the encoder's input first."""
    bits: dict[str, int] = field(default_factory=dict)
    """Packed operands by leaf name, which `verify` compares."""
    modules: list[str] = field(default_factory=list)
    """Name of the module that each op computes, or empty; not part of the file."""
    head: dict[str, Any] | None = None
    """Task, value of the scores and labels of a head, else None."""

    def add(
        self,
        op: str,
        inputs: Sequence[int],
        *,
        ints: Mapping[str, int] | None = None,
        floats: Mapping[str, float] | None = None,
        tensors: Mapping[str, np.ndarray] | None = None,
        module: str = "",
    ) -> int:
        """Appends an op and returns the value that it makes."""
        names = {}
        for name, tensor in (tensors or {}).items():
            names[name] = f"{len(self.ops)}.{name}"
            self.tensors[names[name]] = np.ascontiguousarray(tensor)
        self.ops.append(
            {
                "op": op,
                "inputs": list(inputs),
                "ints": dict(ints or {}),
                "floats": dict(floats or {}),
                "tensors": names,
            }
        )
        self.modules.append(module)
        return len(self.ops)


def write_program(program: Program, path: Path, origin: Mapping[str, Any]) -> None:
    """Writes a program atomically, with its source model and plan as `origin`."""
    header = {
        "format": FORMAT,
        "ops": program.ops,
        "outputs": program.outputs,
        "bits": program.bits,
        "origin": dict(origin),
    }
    if program.head is not None:
        header["head"] = program.head
    header["checksums"] = {name: checksum(tensor) for name, tensor in program.tensors.items()}
    text = json.dumps(header, separators=(",", ":"))
    of_text = checksum(np.frombuffer(text.encode(), np.uint8))
    metadata = {METADATA_KEY: text, CHECKSUM_KEY: of_text}
    write_whole(path, lambda temporary: save_file(program.tensors, temporary, metadata))
