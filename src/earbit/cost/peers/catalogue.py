"""The engines that a program is measured beside, by name: what each computes in and needs.

A name is a family and, after a dash, a precision; without a dash it is float32.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from earbit.errors import ConfigError
from earbit.progress import say

FileKind = Literal["model", "onnx", "onnx-int8", "openvino-int8"]
"""What an engine reads: our model file, or what is made from it before anything is timed."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One engine in one precision."""

    precision: Literal["fp32", "bf16", "int8"]
    reads: FileKind
    extra: Literal["onnx", "openvino"] | None = None
    """The extra of earbit that installs it; PyTorch needs none."""
    packages: tuple[str, ...] = ()
    """What must be there to import."""


_ONNX = ("onnx", "onnxscript")
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
REFERENCE = "torch"
"""The engine whose output is the right one."""


def peers_named(names: Sequence[str]) -> list[str]:
    """The engines of these names, each once; `all` is all of them.

    One that is not installed is left out, with a line that says how to install it.  Raises
    ConfigError for a name that is none.
    """
    for name in names:
        if name not in (*PEERS, "all"):
            raise ConfigError(f"no engine {name!r} to measure beside; allowed: all, {_allowed()}")
    chosen = PEERS if "all" in names else dict.fromkeys(names)
    return [name for name in chosen if _is_installed(name)]


def missing_packages(name: str) -> list[str]:
    """What an engine needs and is not installed."""
    return [package for package in PEERS[name].packages if not importlib.util.find_spec(package)]


def versions() -> dict[str, str]:
    """Of earbit and of every package of an engine that is installed."""
    packages = {package for peer in PEERS.values() for package in peer.packages}
    names = ["earbit", "numpy", "torch", *sorted(packages)]
    return {name: metadata.version(name) for name in names if importlib.util.find_spec(name)}


def _is_installed(name: str) -> bool:
    missing = missing_packages(name)
    if missing:
        say(
            f"{name}: left out, there is no {', no '.join(missing)}; "
            f"pip install 'earbit[{PEERS[name].extra}]' adds it"
        )
    return not missing


def _allowed() -> str:
    return ", ".join(PEERS)
