"""Engines to compare with, by name: precisions and requirements.

A name is an engine and, after a dash, a precision; without a dash it is float32.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from earbit.errors import ConfigError
from earbit.extras import install_command_of
from earbit.progress import say

FileKind = Literal["model", "onnx", "onnx-int8", "openvino-int8"]
"""Input of an engine: the model file, or a file made from it before timing."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One engine in one precision."""

    precision: Literal["fp32", "bf16", "int8"]
    reads: FileKind
    packages: tuple[str, ...]
    """Packages that it needs, by the names of their modules."""


# The file of the model is made with PyTorch.
_TORCH = ("torch", "safetensors")
_ONNX = (*_TORCH, "onnx")
_OPENVINO = (*_ONNX, "openvino")
PEERS: dict[str, Peer] = {
    "torch": Peer("fp32", "model", _TORCH),
    "torch-bf16": Peer("bf16", "model", _TORCH),
    "torch-int8": Peer("int8", "model", _TORCH),
    "onnxruntime": Peer("fp32", "onnx", (*_ONNX, "onnxruntime")),
    "onnxruntime-int8": Peer("int8", "onnx-int8", (*_ONNX, "onnxruntime")),
    "openvino": Peer("fp32", "onnx", _OPENVINO),
    "openvino-bf16": Peer("bf16", "onnx", _OPENVINO),
    "openvino-int8": Peer("int8", "openvino-int8", (*_OPENVINO, "nncf")),
}
_CPU = Path("/proc/cpuinfo")
REFERENCE = "torch"
"""The engine that gives the reference output."""


def peers_named(names: Sequence[str]) -> list[str]:
    """Selects engines by name, each once; `all` selects all, and `none` alone selects no engine.

    Engines that cannot run are skipped, with one line about all missing packages.  Raises
    ConfigError for an unknown name.
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
    reasons = {name: why_left_out(name) for name in chosen}
    absent = {name: missing for name in chosen if (missing := _missing(name))}
    if absent:
        packages = dict.fromkeys(package for missing in absent.values() for package in missing)
        say(f"{', '.join(absent)}: left out, {_without(packages)}")
    for name, reason in reasons.items():
        if reason is not None and name not in absent:
            say(f"{name}: left out, {reason}")
    return [name for name, reason in reasons.items() if reason is None]


def why_left_out(name: str) -> str | None:
    """Missing requirement of an engine. None if it can run."""
    if missing := _missing(name):
        return _without(missing)
    # OpenVINO would silently compute in float32; PyTorch computes in bfloat16, slowly.
    if name == "openvino-bf16" and not _has_bfloat16():
        return "this CPU has no instructions for bfloat16"
    return None


def _missing(name: str) -> list[str]:
    """Packages of an engine that are not installed."""
    return [one for one in PEERS[name].packages if not importlib.util.find_spec(one)]


def _without(packages: Collection[str]) -> str:
    it = "it" if len(packages) == 1 else "them"
    return (
        f"there is no {', no '.join(packages)}; install {it} with: {install_command_of(packages)}"
    )


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


def _has_bfloat16() -> bool:
    return not _CPU.exists() or "bf16" in _CPU.read_text(encoding="utf-8")
