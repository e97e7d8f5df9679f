"""Estimated cycles of the NEON kernels and of whole programs on ARM.  Nothing is measured.

    python benchmarks/arm_estimates.py [NAME=PROGRAM ...] [--seconds 10] [--json FILE]

Kernels: the innermost loop of each, compiled as in a release, in the model of llvm-mca, beside the
least cycles of the instructions that its products need (`ceiling`).  Programs (`keywords-w1a1` if
none is named): qemu counts how often each block of instructions runs, and a block costs what the
model says of it in a loop.  A run of a clip of 0.1 s is subtracted: loading, and at most 2 % of
the work.  Caches, mispredicted branches and threads are not part of the model.  `--check` does the
same for x86 with AVX2 (a build of the preset `programs`), where times were measured.

Debian: apt install g++-aarch64-linux-gnu qemu-user llvm-19, and a build of the preset `aarch64`.
"""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import report
from arm_model import CHECK, CPUS, Loop, busiest, cycles, least_cycles, loops_of, mca
from arm_programs import program_row
from earbit.shipped import program_path

ROOT = report.HERE.parent
CXX = "aarch64-linux-gnu-g++"
FLAGS = ("-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off",
         "-fno-math-errno", f"-I{ROOT / 'csrc'}")  # fmt: skip
COUNT = ("eor v0.16b, v1.16b, v2.16b", "cnt v3.16b, v4.16b", "add v5.16b, v6.16b, v7.16b")


@dataclass(frozen=True, kw_only=True)
class Hot:
    """The loop of a kernel file with the most instructions that match `of`.

    each: what one of these instructions stands for, in `unit`.  needs: the instructions without
    which they cannot be computed; without any, all of the loop.
    """

    file: str
    of: str
    each: int
    unit: str
    needs: tuple[str, ...] = ()
    function: str = ""
    flags: tuple[str, ...] = ()
    isa: str = "neon"


HOT = (
    Hot(file="gemm_b1_4x64_neon", of=r"\bcnt\s.*16b", each=128, unit="product", needs=COUNT),
    Hot(file="gemm_i8_4x16_neon", of=r"\bsmlal2?\s", each=4, unit="product",
        needs=("smlal v0.4s, v1.4h, v2.h[0]",)),
    Hot(file="gemm_i8_4x16_dotprod", of=r"\budot\s", each=16, unit="product",
        needs=("udot v0.4s, v1.16b, v2.4b[0]",), flags=("-march=armv8.2-a+dotprod",),
        isa="dotprod"),
    Hot(file="gemm_f32_8x8_neon", of=r"\bfmla\s.*\.4s", each=4, unit="product",
        needs=("fmla v0.4s, v1.4s, v2.s[0]",)),
    Hot(file="conv_b1_4x64_neon", of=r"\bcnt\s.*16b", each=128, unit="product", needs=COUNT),
    Hot(file="depthwise_b1_8_neon", of=r"\bcnt\s.*16b", each=128, unit="product", needs=COUNT),
    Hot(file="softmax_b1_neon", of=r"\bcnt\s.*16b", each=128, unit="product", needs=COUNT),
    Hot(file="softmax_b1_neon", of=r"\btbl\s", each=4, unit="key", function="total_ofILi4E"),
    Hot(file="exp_scalar", of=r"\bfdiv\s.*4s", each=4, unit="gate", function="gate"),
    Hot(file="exp_neon", of=r"\bfdiv\s.*4s", each=4, unit="gate", function="gate"),
    Hot(file="exp_neon", of=r"\bumin\s", each=4, unit="exp"),
    Hot(file="elementwise_neon", of=r"\bf(add|sub|mul|div)\s.*4s", each=4, unit="operation",
        function="gelu"),
    Hot(file="log_mel_neon", of=r"\bf(add|sub|mul)\s.*4s", each=4, unit="operation"),
)  # fmt: skip


def loop_of(hot: Hot) -> Loop:
    """The loop in the assembly of this compiler; LookupError if there is none."""
    source = ROOT / "csrc" / "kernels" / f"{hot.file}.cc"
    command = [CXX, *FLAGS, *hot.flags, "-S", "-o", "-", str(source)]
    assembly = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return busiest(list(loops_of(assembly)), hot.of, hot.function)


def kernel_rows() -> list[dict[str, Any]]:
    """Cycles and ceiling of each loop on each core, for a thousand units."""
    loops = {hot: loop_of(hot) for hot in HOT}
    needs = [hot.needs * loop.count(hot.of) or loop.instructions for hot, loop in loops.items()]
    n_units = [hot.each * loop.count(hot.of) for hot, loop in loops.items()]
    rows: list[dict[str, Any]] = [
        {"kernel": hot.file, "unit": hot.unit, "n_units": n, "instructions": len(loop.instructions)}
        for (hot, loop), n in zip(loops.items(), n_units, strict=True)
    ]
    for cpu in CPUS:
        taken = cycles([loop.instructions for loop in loops.values()], cpu)
        needed = least_cycles(needs, cpu)
        for hot, row, n, most, least in zip(loops, rows, n_units, taken, needed, strict=True):
            if hot.isa in ("neon", cpu.isa):
                row[cpu.name] = {
                    "cycles_per_1000": round(1000 * most / n, 2),
                    "ceiling_per_1000": round(1000 * least / n, 2),
                }
    return rows


def table(result: dict[str, Any]) -> list[str]:
    lines = ["", "ESTIMATES by a static model; nothing was measured", ""]
    lines.append(
        f"{'cycles per 1,000, and the ceiling':44}" + "".join(f"{c.name:>22}" for c in CPUS)
    )
    for row in result["kernels"]:
        line = f"{row['kernel']:24}{row['unit']:20}"
        for cpu in CPUS:
            found = row.get(cpu.name, {})
            for what in ("cycles_per_1000", "ceiling_per_1000"):
                line += f"{found.get(what, '-'):>11}"
        lines.append(line)
    for row in result["programs"]:
        lines += ["", f"{row['program']}, {row['seconds']:g} s of audio, one thread"]
        for cpu in (cpu for cpu in (*CPUS, CHECK) if cpu.name in row):
            found = row[cpu.name]
            parts = ", ".join(f"{part} {share:.0%}" for part, share in found["parts"].items())
            lines.append(
                f"  {cpu.name} ({cpu.board}, {found['ghz']} GHz, {found['isa']}):"
                f" {found['ms']:,.1f} ms, {found['instructions'] / 1e6:,.0f} M instructions,"
                f" {found['cycles'] / 1e6:,.0f} M cycles; {parts}"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("programs", nargs="*", default=["keywords-w1a1"], metavar="NAME[=FILE]")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--check", type=float, metavar="GHZ", help="also for an x86 of this clock")
    parser.add_argument("--json", type=Path, help="write the result there; - is stdout")
    options = parser.parse_args()
    named = [text.partition("=") for text in options.programs]
    programs = {name: program_path(path or name) for name, _, path in named}
    cpus = CPUS if options.check is None else (*CPUS, replace(CHECK, ghz=options.check))
    tools = {
        "model": report.first_line(mca(), "--version"),
        "compiler": report.first_line(CXX, "--version"),
        "emulator": report.first_line("qemu-aarch64", "--version"),
    }
    result = {
        "machine": report.machine(1) | tools,
        "unit": "estimated cycles of one core by a static model; nothing was measured",
        "cores": [asdict(cpu) for cpu in cpus],
        "kernels": kernel_rows(),
        "programs": [program_row(*item, options.seconds, cpus) for item in programs.items()],
    }
    report.show(result, table(result), options.json)


if __name__ == "__main__":
    main()
