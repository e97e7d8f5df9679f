"""`earbit doctor`: features of this CPU, a self-test of all kernels, and advice on speed."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from earbit import _core
from earbit.runtime.cores import affinity_cores, cpu_quota, usable_cores
from earbit.runtime.session import chosen_isa

BEST_FIRST = ("avx512", "avx512bw", "avxvnni", "avx2", "dotprod", "neon", "scalar")
NAMES = {
    "avx512": "AVX-512 with VPOPCNTDQ, BITALG, VBMI and VNNI (Ice Lake, Zen 4 or later)",
    "dotprod": "dot products of bytes (Cortex-A76 or later)",
}


def examine() -> dict[str, Any]:
    """Examines CPU, selected instruction set, kernels with their self-tests, cores and versions.

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
        "cores": usable_cores(),
        "affinity_cores": affinity_cores(),
        "cpu_quota": cpu_quota(),
        "if_slow": advice(isa, kernels, usable_cores()),
        "python": sys.version.split()[0],
        "versions": {
            name: metadata.version(name) for name in ("earbit", "numpy", "soundfile", "soxr")
        },
    }


def render_doctor(found: dict[str, Any]) -> str:
    """Result of `examine` as text."""
    failed = [check["kernel"] for check in found["self_test"] if not check["ok"]]
    available = {kernel["isa"] for kernel in found["kernels"] if kernel["available"]}
    others = [isa for isa in reversed(BEST_FIRST) if isa in available]
    chosen = ", ".join(kernel["name"] for kernel in found["kernels"] if kernel["chosen"])
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    verdict = f"WRONG: {', '.join(failed)}" if failed else "all right"
    return "\n".join(
        [
            f"cpu        {found['cpu']} ({found['machine']})",
            f"isa        {found['isa']}; EARBIT_ISA forces one of {', '.join(others)}",
            f"kernels    {chosen}",
            f"threads    {_cores(found)} may be used; a Session uses one by default",
            f"self-test  {len(found['self_test'])} kernels: {verdict}",
            f"versions   {versions}, Python {found['python']}",
            *(f"if slow    {line}" for line in found["if_slow"]),
        ]
    )


def _cores(found: dict[str, Any]) -> str:
    """Text of the number of cores, with both limits if they differ."""
    if found["cpu_quota"] is None:
        return f"{found['cores']} cores"
    quota, allowed = found["cpu_quota"], found["affinity_cores"]
    return f"{found['cores']} cores (cgroup quota {quota:g}, affinity {allowed})"


def cpu_name() -> str:
    """Name of the processor according to the operating system."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def advice(isa: str, kernels: Sequence[Mapping[str, Any]], n_cores: int) -> list[str]:
    """Advice where the runtime is slow, the most helpful first."""
    available = list(dict.fromkeys(kernel["isa"] for kernel in kernels if kernel["available"]))
    known = dict.fromkeys(kernel["isa"] for kernel in kernels)
    best = next(name for name in BEST_FIRST if name in available)
    lines = []
    if isa != best:
        lines.append(f"EARBIT_ISA forces {isa}; unset it, and {best} is used")
    elif isa != (fastest := next(name for name in BEST_FIRST if name in known)):
        lines.append(f"this CPU has no {NAMES[fastest]}; a CPU that has it is faster")
    if n_cores > 1:
        lines.append(f"Session(path, threads={n_cores}), or earbit run --threads {n_cores}")
    lines.append(
        "plan w1a1 is the fastest; `earbit bench FILE` measures, Session.profile says where"
    )
    return lines
