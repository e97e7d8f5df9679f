"""Instructions of a program under qemu, block by block, and their cycles in the model.

A block costs what the model says of it in a loop.
"""

from __future__ import annotations

import subprocess
import tempfile
import wave
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from arm_model import Cpu, cycles, mca
from earbit.audio.rate import SAMPLE_RATE_HZ
from report import HERE

COVERED = 0.995
"""Share of the instructions whose blocks are modelled; the others get the mean of these."""
SHORT_S = 0.1


class Block(NamedTuple):
    """What runs without a branch."""

    n_instructions: int
    code: bytes


Runs = Counter[Block]
"""How often each block runs."""


def program_row(name: str, program: Path, seconds: float, cpus: Sequence[Cpu]) -> dict[str, Any]:
    """Instructions, cycles and milliseconds of a clip on each core, and parts of source files."""
    row: dict[str, Any] = {"program": name, "seconds": seconds}
    runs_of: dict[str, Runs] = {}
    for cpu in cpus:
        if cpu.isa not in runs_of:
            runs_of[cpu.isa] = runs_of_clip(program, seconds, cpu)
        runs = runs_of[cpu.isa]
        n_instructions = sum(n * block.n_instructions for block, n in runs.items())
        texts = {block: disassembled(block, cpu) for block in hottest(runs)}
        # qemu runs each repetition of `rep movs` as a block, which the model takes for all of it.
        hot = [block for block, text in texts.items() if "\trep\t" not in text[0]]
        cycles_of = dict(zip(hot, cycles([texts[block] for block in hot], cpu), strict=True))
        n_hot = sum(runs[block] * block.n_instructions for block in hot)
        n_cycles = sum(runs[block] * n for block, n in cycles_of.items())
        parts: dict[str, float] = defaultdict(float)
        for block, n in cycles_of.items():
            parts[source_of(block, cpu)] += runs[block] * n / n_cycles
        largest = sorted(parts.items(), key=lambda part: -part[1])[:10]
        total = n_cycles * n_instructions / n_hot
        row[cpu.name] = {
            "isa": cpu.isa,
            "ghz": cpu.ghz,
            "instructions": n_instructions,
            "cycles": round(total),
            "ms": round(total / cpu.ghz / 1e6, 2),
            "parts": {part: round(share, 4) for part, share in largest},
        }
    return row


def runs_of_clip(program: Path, seconds: float, cpu: Cpu) -> Runs:
    """The blocks of a clip, without those of loading the program."""
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "blocks.so"
        source = HERE / "qemu_blocks.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", source, "-o", plugin], check=True)
        long, short = (run(program, s, cpu, plugin) for s in (seconds, SHORT_S))
    long.subtract(short)  # below 0 where qemu divided the same instructions into other blocks
    return long


def run(program: Path, seconds: float, cpu: Cpu, plugin: Path) -> Runs:
    """Runs the example in C on a clip of noise; CalledProcessError if it fails."""
    wav, out = plugin.with_name("clip.wav"), plugin.with_name("blocks.txt")
    noise = 3000 * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE_HZ))
    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(noise.astype("<i2").tobytes())
    features = HERE.parent / "build" / cpu.preset / "tests" / "csrc" / "features"
    command: list[str | Path] = [*cpu.emulator, "-E", f"EARBIT_ISA={cpu.isa}",
               "-plugin", f"file={plugin},out={out}", features, program, wav]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    runs: Runs = Counter()
    for line in out.read_text().splitlines():
        n_runs, n_instructions, code = line.split()
        runs[Block(int(n_instructions), bytes.fromhex(code))] += int(n_runs)
    return runs


def hottest(runs: Runs) -> list[Block]:
    """The blocks with the most instructions, enough to cover most of all."""

    def weight(block: Block) -> int:
        return abs(runs[block]) * block.n_instructions

    left = (1 - COVERED) * sum(map(weight, runs))
    rest = sorted(runs, key=weight)
    while rest and weight(rest[0]) <= left:
        left -= weight(rest.pop(0))
    return rest


def disassembled(block: Block, cpu: Cpu) -> list[str]:
    """The instructions of a block as text, except one of x86 that qemu cut at the end of a page."""
    reader = mca().replace("llvm-mca", "llvm-mc")
    command = [reader, "-disassemble", f"-triple={cpu.triple}", f"-mattr={cpu.features}"]
    code = " ".join(f"0x{byte:02x}" for byte in block.code)
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[1:]  # behind `.text`


@cache
def objects(preset: str) -> dict[str, bytes]:
    """Compiled files by name, the scalar kernels last: they share loops with those of NEON."""
    folder = HERE.parent / "build" / preset / "CMakeFiles" / "earbit_native.dir" / "csrc"
    paths = sorted(folder.rglob("*.o"), key=lambda path: "scalar" in path.name)
    return {path.name.removesuffix(".o"): path.read_bytes() for path in paths}


def source_of(block: Block, cpu: Cpu) -> str:
    """The source file that contains a block; those with addresses in them are not found."""
    found = (name for name, code in objects(cpu.preset).items() if block.code in code)
    return next(found, "other")
