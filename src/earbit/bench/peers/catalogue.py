"""Engines to compare with, by name: precisions and requirements.

A name is an engine and, after a dash, a precision; without a dash it is float32.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from earbit.errors import ConfigError
from earbit.extras import TRAIN, install_command
from earbit.progress import say

FileKind = Literal["model", "onnx", "onnx-int8", "openvino-int8"]
"""Input of an engine: the model file, or a file made from it before timing."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One engine in one precision."""

    precision: Literal["fp32", "bf16", "int8"]
    reads: FileKind
    extra: Literal["train", "onnx", "openvino"] = "train"
    """The extra of earbit that installs it."""
    packages: tuple[str, ...] = ("torch",)
    """Modules that must be importable."""


# The file of the model is made with PyTorch.
_ONNX = ("torch", "onnx")
_OPENVINO = (*_ONNX, "openvino")
PEERS: dict[str, Peer] = {
    "torch": Peer("fp32", "model"),
    "torch-bf16": Peer("bf16", "model"),
    "torch-int8": Peer("int8", "model"),
    "onnxruntime": Peer("fp32", "onnx", "onnx", (*_ONNX, "onnxruntime")),
    "onnxruntime-int8": Peer("int8", "onnx-int8", "onnx", (*_ONNX, "onnxruntime")),
    "openvino": Peer("fp32", "onnx", "openvino", _OPENVINO),
    "openvino-bf16": Peer("bf16", "onnx", "openvino", _OPENVINO),
    "openvino-int8": Peer("int8", "openvino-int8", "openvino", (*_OPENVINO, "nncf")),
}
_CPU = Path("/proc/cpuinfo")
REFERENCE = "torch"
"""The engine that gives the reference output."""


def peers_named(names: Sequence[str]) -> list[str]:
    """Selects engines by name, each once; `all` selects all, and `none` alone selects no engine.

    An engine that cannot run is skipped, with a line about the reason and the package to install.
    Raises ConfigError for an unknown name.
    """
    if tuple(names) == ("none",):
        return []
    for name in names:
        if name == "none":
            raise ConfigError(f"engines {' '.join(names)}: 'none' excludes others; leave them out")
        if name not in (*PEERS, "all"):
            raise ConfigError(
                f"no engine {name!r} to measure beside; allowed: none, all, {', '.join(PEERS)}"
            )
    chosen = PEERS if "all" in names else dict.fromkeys(names)
    return [name for name in chosen if _can_run(name)]


def why_left_out(name: str) -> str | None:
    """Missing requirement of an engine. None if it can run."""
    peer = PEERS[name]
    missing = [package for package in peer.packages if not importlib.util.find_spec(package)]
    if missing:
        cure = f"install it with: {install_command(TRAIN if 'torch' in missing else peer.extra)}"
        return f"there is no {', no '.join(missing)}; {cure}"
    # OpenVINO would silently compute in float32; PyTorch computes in bfloat16, slowly.
    if peer.extra == "openvino" and peer.precision == "bf16" and not _has_bfloat16():
        return "this CPU has no instructions for bfloat16"
    return None


def versions() -> dict[str, str]:
    """Versions of earbit and of the installed packages of all engines."""
    packages = {package for peer in PEERS.values() for package in peer.packages}
    names = ["earbit", "numpy", *sorted(packages)]
    return {name: _version(name) for name in names if importlib.util.find_spec(name)}


def _version(package: str) -> str:
    """Version of a package by its distribution, since onnxruntime has several."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        # Searches all installed distributions if the name differs.
        names = metadata.packages_distributions().get(package, [])
    return metadata.version(names[0]) if names else "unknown"


def _can_run(name: str) -> bool:
    reason = why_left_out(name)
    if reason is not None:
        say(f"{name}: left out, {reason}")
    return reason is None


def _has_bfloat16() -> bool:
    return not _CPU.exists() or "bf16" in _CPU.read_text(encoding="utf-8")
