"""Instructions of a program under qemu, block by block, and their cycles in the model.

A block is what runs without a branch.  It costs what the model says of it in a loop.
"""

from __future__ import annotations

import subprocess
import tempfile
import wave
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from arm_model import CPUS, cycles, mca
from earbit.audio.rate import SAMPLE_RATE_HZ
from report import HERE

BUILD = HERE.parent / "build" / "aarch64"
OBJECTS = BUILD / "CMakeFiles" / "earbit_native.dir" / "csrc"
QEMU = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "cortex-a76")
COVERED = 0.995
"""Share of the instructions whose blocks are modelled; the others get the mean of these."""
SHORT_S = 0.1
BYTES = 4  # of an instruction

Runs = Counter[bytes]
"""How often each block runs, by the bytes of its instructions."""


def program_row(name: str, program: Path, seconds: float) -> dict[str, Any]:
    """Instructions, cycles and milliseconds of a clip on each core, and parts of source files."""
    row: dict[str, Any] = {"program": name, "seconds": seconds}
    runs_of = {isa: runs_of_clip(program, seconds, isa) for isa in {cpu.isa for cpu in CPUS}}
    for cpu in CPUS:
        runs = runs_of[cpu.isa]
        n_instructions = sum(n * len(block) // BYTES for block, n in runs.items())
        hot = hottest(runs)
        cycles_of = dict(zip(hot, cycles(disassembled(hot), cpu), strict=True))
        n_hot = sum(runs[block] * len(block) // BYTES for block in hot)
        n_cycles = sum(runs[block] * n for block, n in cycles_of.items())
        parts: Counter[str] = Counter()
        for block, n in cycles_of.items():
            parts[source_of(block)] += runs[block] * n / n_cycles
        total = n_cycles * n_instructions / n_hot
        row[cpu.name] = {
            "isa": cpu.isa,
            "instructions": n_instructions,
            "cycles": round(total),
            "ms": round(total / cpu.ghz / 1e6, 2),
            "parts": {part: round(share, 4) for part, share in parts.most_common(10)},
        }
    return row


def runs_of_clip(program: Path, seconds: float, isa: str) -> Runs:
    """The blocks of a clip, without those of loading the program."""
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "blocks.so"
        source = HERE / "qemu_blocks.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", source, "-o", plugin], check=True)
        long, short = (run(program, s, isa, plugin) for s in (seconds, SHORT_S))
    return long - short


def run(program: Path, seconds: float, isa: str, plugin: Path) -> Runs:
    """Runs the example in C on a clip of noise; CalledProcessError if it fails."""
    wav, out = plugin.with_name("clip.wav"), plugin.with_name("blocks.txt")
    noise = 3000 * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE_HZ))
    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(noise.astype("<i2").tobytes())
    command = [*QEMU, "-E", f"EARBIT_ISA={isa}", "-plugin", f"file={plugin},out={out}",
               BUILD / "tests" / "csrc" / "features", program, wav]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    runs: Runs = Counter()
    for line in out.read_text().splitlines():
        n_runs, code = line.split()
        runs[bytes.fromhex(code)] += int(n_runs)
    return runs


def hottest(runs: Runs) -> list[bytes]:
    """The blocks with the most instructions, enough to cover most of all."""
    left = (1 - COVERED) * sum(n * len(block) for block, n in runs.items())
    rest = sorted(runs, key=lambda block: runs[block] * len(block))
    while rest and runs[rest[0]] * len(rest[0]) <= left:
        left -= runs[rest[0]] * len(rest[0])
        del rest[0]
    return rest


def disassembled(blocks: Sequence[bytes]) -> list[list[str]]:
    """The instructions of each block as text."""
    code = "\n".join(" ".join(f"0x{byte:02x}" for byte in block) for block in blocks)
    command = [
        mca().replace("llvm-mca", "llvm-mc"),
        "-disassemble",
        "-triple=aarch64",
        "-mattr=+all",
    ]
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=True)
    lines = iter(done.stdout.splitlines()[1:])  # behind `.text`
    texts = [[next(lines) for _ in range(len(block) // BYTES)] for block in blocks]
    if next(lines, None) is not None:
        raise SystemExit(f"not all instructions were read:\n{done.stderr}")
    return texts


@cache
def objects() -> dict[str, bytes]:
    """Compiled files by name, the scalar kernels last: they share loops with those of NEON."""
    paths = sorted(OBJECTS.rglob("*.o"), key=lambda path: "scalar" in path.name)
    return {path.name.removesuffix(".o"): path.read_bytes() for path in paths}


def source_of(block: bytes) -> str:
    """The source file that contains a block; those with addresses in them are not found."""
    return next((name for name, code in objects().items() if block in code), "other")
