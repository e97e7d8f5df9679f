"""`earbit doctor`: what this CPU can do and whether every kernel computes right on it."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

from earbit import _core
from earbit.runtime.session import chosen_isa


def examine() -> dict[str, Any]:
    """CPU, chosen instruction set, all kernels with the result of their self-test, versions.

    Raises ConfigError when EARBIT_ISA names a set that is not available.
    """
    isa = chosen_isa()
    kernels = _core.kernels()
    checks = _core.self_test()
    return {
        "isa": isa,
        "kernels": kernels,
        "self_test": checks,
        "ok": bool(checks) and all(check["ok"] for check in checks),
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "python": sys.version.split()[0],
        "versions": {name: metadata.version(name) for name in ("earbit", "numpy", "safetensors")},
    }


def render_doctor(found: dict[str, Any]) -> str:
    """What `examine` found, in a few lines for people."""
    failed = [check["kernel"] for check in found["self_test"] if not check["ok"]]
    others = dict.fromkeys(kernel["isa"] for kernel in found["kernels"] if kernel["available"])
    chosen = ", ".join(kernel["name"] for kernel in found["kernels"] if kernel["chosen"])
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    verdict = f"WRONG: {', '.join(failed)}" if failed else "all right"
    return "\n".join(
        [
            f"cpu        {found['cpu']} ({found['machine']})",
            f"isa        {found['isa']}; EARBIT_ISA forces one of {', '.join(others)}",
            f"kernels    {chosen}",
            f"self-test  {len(found['self_test'])} kernels: {verdict}",
            f"versions   {versions}, Python {found['python']}",
        ]
    )


def cpu_name() -> str:
    """What the operating system calls the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
