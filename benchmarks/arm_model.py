"""Cycles of instructions by the static model of llvm-mca, and loops of assembly to give it.

The model knows latencies and pipelines.  It takes every load as a hit in L1 and every branch as
predicted.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

MCA = ("llvm-mca", "llvm-mca-21", "llvm-mca-20", "llvm-mca-19", "llvm-mca-18", "llvm-mca-17")
MIN_VERSION = 17
"""Before it, LLVM models every Cortex-A and Neoverse as a Cortex-A57."""
N_ITERATIONS = 200
QEMU = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "cortex-a76")
LABEL = re.compile(r"([\w.$]+):")
BRANCH = re.compile(r"\s+(b|bl|br|blr|ret|b\.?(?!it|if|ic|sl)[a-z]{2}|cbn?z|tbn?z)\s")
"""GCC writes `bne` for `b.ne`."""


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """A core, the processor of LLVM with its pipelines, and how many instructions it decodes."""

    name: str
    model: str
    decodes: int
    """Instructions per cycle at most; LLVM's model of the Neoverse N1 has no such limit."""
    ghz: float
    isa: str
    board: str
    triple: str = "aarch64"
    features: str = "+dotprod"
    emulator: tuple[str, ...] = (
        "qemu-aarch64",
        "-L",
        "/usr/aarch64-linux-gnu",
        "-cpu",
        "cortex-a76",
    )
    preset: str = "aarch64"
    """Of CMakePresets.json, whose build qemu runs."""


CPUS = (
    Cpu(
        name="Cortex-A76",
        model="neoverse-n1",
        decodes=4,
        ghz=2.4,
        isa="dotprod",
        board="Raspberry Pi 5",
    ),
    Cpu(
        name="Cortex-A72",
        model="cortex-a72",
        decodes=3,
        ghz=1.8,
        isa="neon",
        board="Raspberry Pi 4",
    ),
    Cpu(
        name="Cortex-A55",
        model="cortex-a55",
        decodes=2,
        ghz=1.8,
        isa="dotprod",
        board="small cores of phones, in order",
    ),
)
"""A Cortex-A76 has the pipelines of a Neoverse N1.  LLVM's own `cortex-a76` is a Cortex-A57."""
CHECK = Cpu(
    name="Zen 3",
    model="znver3",
    decodes=6,
    ghz=3.0,
    isa="avx2",
    board="x86, a check of the method",
    triple="x86_64",
    features="",
    emulator=("qemu-x86_64", "-cpu", "Haswell"),
    preset="programs",
)
"""Times of this core were measured (docs/benchmarks.md)."""


@dataclass(frozen=True)
class Loop:
    """A loop: the function that it is in, and its instructions."""

    function: str
    instructions: tuple[str, ...]

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, line) is not None for line in self.instructions)


def loops_of(assembly: str) -> Iterator[Loop]:
    """Finds the loops without another branch in them: from a label to a branch back to it."""
    function = label = ""
    lines: list[str] = []
    for line in assembly.splitlines():
        found = LABEL.match(line)
        if found:
            label, lines = found[1], []
            function = function if label.startswith(".") else label
        elif re.match(r"\s+[a-z]", line):
            lines.append(line)
            if BRANCH.match(line + " "):
                if line.split()[-1] == label:
                    yield Loop(function, tuple(lines))
                label = ""


def busiest(loops: Sequence[Loop], pattern: str, function: str = "") -> Loop:
    """The loop of these functions with the most instructions that match; LookupError if none."""
    found = [loop for loop in loops if re.search(function, loop.function) and loop.count(pattern)]
    if not found:
        raise LookupError(f"no loop with {pattern} in functions {function or 'of any name'}")
    return max(found, key=lambda loop: loop.count(pattern))


@cache
def mca() -> str:
    """The newest enough llvm-mca; SystemExit without one."""
    for name in MCA:
        path = shutil.which(name)
        if path is not None:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
            version = re.search(r"LLVM version (\d+)", said.stdout)
            if version and int(version[1]) >= MIN_VERSION:
                return path
    raise SystemExit(f"llvm-mca of LLVM {MIN_VERSION} or later is missing (apt install llvm-19)")


def cycles(blocks: Sequence[Sequence[str]], cpu: Cpu) -> list[float]:
    """Cycles of one iteration of each block of instructions, when it runs again and again."""
    return [
        max(s["TotalCycles"] / N_ITERATIONS, len(b) / cpu.decodes) for s, b in _run(blocks, cpu)
    ]


def least_cycles(blocks: Sequence[Sequence[str]], cpu: Cpu) -> list[float]:
    """The same if no instruction waited for another's result: the bound of the pipelines."""
    return [
        max(summary["BlockRThroughput"], len(block) / cpu.decodes)
        for summary, block in _run(blocks, cpu)
    ]


def _run(
    blocks: Sequence[Sequence[str]], cpu: Cpu
) -> Iterator[tuple[dict[str, float], Sequence[str]]]:
    regions = [
        "\n".join([f"# LLVM-MCA-BEGIN {i}", *block, "# LLVM-MCA-END"])
        for i, block in enumerate(blocks)
    ]
    command = [mca(), f"-mtriple={cpu.triple}", f"-mattr={cpu.features}", f"-mcpu={cpu.model}",
               f"-iterations={N_ITERATIONS}", "--json", "-skip-unsupported-instructions=any",
               "-resource-pressure=false", "-instruction-info=false"]  # fmt: skip
    done = subprocess.run(
        command, input="\n".join(regions) + "\n", capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)["CodeRegions"]
    if len(found) != len(blocks):
        raise SystemExit(f"llvm-mca read {len(found)} of {len(blocks)} blocks:\n{done.stderr}")
    for region, block in zip(found, blocks, strict=True):
        yield region["SummaryView"], block
