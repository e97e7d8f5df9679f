"""No instruction that a CPU may lack stands in code that runs before the CPU has been asked.

Kernels of an instruction set have files of their own (`*_avx2.cc`, `*_dotprod.cc`), which are
called only where the CPU has it. Three ways lead around that: such instructions in another file,
inline functions in these, of which the linker may take the copy for the whole program, and
constructors.
"""

import re
import shutil
import subprocess

import pytest

from native_build import ROOT, built

# VEX and EVEX instructions begin with v; VERR and VERW, and no others, do so since the 286.
X86 = r"%[yz]mm|%k[1-7]\b|\tv(?!er[rw]\b)\w|\t(popcnt|[tl]zcnt|andn|bextr|bls\w+|[sr][ah][lr]x)\b"
# (preset, prefix of its tools, what the baseline lacks, the files that may have it)
TARGETS = [
    pytest.param("programs", "", X86, r"_avx(2|vnni|512bw|512)\.cc\.o",
                 marks=pytest.mark.old_cpu, id="x86-64"),
    pytest.param("aarch64", "aarch64-linux-gnu-", r"\t[us]dot\t", r"_dotprod\.cc\.o",
                 marks=pytest.mark.arm, id="aarch64"),
]  # fmt: skip


def said_of_objects(preset, tool, *arguments):
    """What a tool of binutils says of every object of the library, by the object's name."""
    assert shutil.which(tool) is not None, f"missing: {tool} (apt install binutils)"
    built(preset)
    command = [tool, *arguments, f"build/{preset}/libearbit_native.a"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    parts = re.split(r"^(\S+\.cc\.o):.*\n", done.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("preset", "prefix", "lacking", "own"), TARGETS)
def test_the_baseline_holds_no_instruction_of_a_set(preset, prefix, lacking, own):
    code = said_of_objects(preset, f"{prefix}objdump", "-d", "--no-show-raw-insn")
    holding = {name for name, text in code.items() if re.search(lacking, text)}
    # All that were compiled for a set hold some, or the pattern would find nothing anywhere.
    assert holding == {name for name in code if re.search(own, name)}


# What no file of a set of x86 may hold: instructions and registers of the sets that came later.
VNNI = r"\tv(pdpbusds?|pdpwssds?)\b"
LATER = (
    r"\tv(popcnt[bwdq]|perm[it]2b|permb|pshufbitqmb|pmultishiftqb|pcompress[bw]|psh[lr]dv?[wdq])\b"
)
EVEX = r"%zmm|%k[0-7]\b|%[xyz]mm(1[6-9]|2\d|3[01])\b"
BEYOND = {
    "avx2": rf"{VNNI}|\{{vex\}}|{LATER}|{EVEX}",
    "avxvnni": rf"{LATER}|{EVEX}",
    "avx512bw": rf"{VNNI}|\{{vex\}}|{LATER}",
}


@pytest.mark.old_cpu
@pytest.mark.parametrize("isa", BEYOND)
def test_kernels_of_a_set_hold_no_instruction_of_a_later_one(isa):
    code = said_of_objects("programs", "objdump", "-d", "--no-show-raw-insn")
    kernels = {name: text for name, text in code.items() if name.endswith(f"_{isa}.cc.o")}
    assert kernels
    for name, text in kernels.items():
        assert (found := re.search(BEYOND[isa], text)) is None, (name, found[0])
    # The pattern finds what the best set has.
    best = "".join(text for name, text in code.items() if name.endswith("_avx512.cc.o"))
    assert re.search(BEYOND[isa], best)


@pytest.mark.parametrize(("preset", "prefix", "lacking", "own"), TARGETS)
def test_kernels_of_a_set_share_no_function_and_run_nothing_at_the_start(
    preset, prefix, lacking, own
):
    symbols = said_of_objects(preset, f"{prefix}nm")
    sections = said_of_objects(preset, f"{prefix}objdump", "-h")
    kernels = [name for name in symbols if re.search(own, name)]
    assert kernels
    for name in kernels:
        # W, V and u are what several objects may define, and the linker keeps one of.
        assert not re.search(r"^\w+ [WVuwv] .*", symbols[name], re.MULTILINE), symbols[name]
        assert not re.search(r"\.(init_array|ctors)\b", sections[name]), name
