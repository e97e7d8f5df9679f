"""Estimates for ARM: the loops that are modelled are those of the kernels."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from arm_estimates import HOT, loop_of  # noqa: E402
from arm_model import busiest, loops_of  # noqa: E402

ASSEMBLY = """
first:
\tmov\tx2, 0
.L2:
\tcbz\tx3, .L4
.L3:
\tld1r\t{v0.16b}, [x0]
\tbit\tv3.16b, v0.16b, v2.16b
\tcnt\tv1.16b, v0.16b
\tcnt\tv2.16b, v0.16b
\tcmp\tx0, x1
\tbne\t.L3
.L4:
\tsubs\tx2, x2, 1
\tbne\t.L2
\tret
second:
.L5:
\tcnt\tv1.16b, v0.16b
\tb.gt\t.L5
\tb\t.L2
"""


def test_loops_without_branches_inside_are_found():
    loops = [(loop.function, len(loop.instructions)) for loop in loops_of(ASSEMBLY)]
    assert loops == [("first", 6), ("second", 2)]


def test_the_busiest_loop_has_the_most_matching_instructions():
    loops = list(loops_of(ASSEMBLY))
    assert busiest(loops, r"\bcnt\s").count(r"\bcnt\s") == 2
    assert busiest(loops, r"\bcnt\s", "second").count(r"\bcnt\s") == 1
    with pytest.raises(LookupError, match="no loop with udot"):
        busiest(loops, "udot")


# Instructions of a tile: rows times vectors of outputs, times the steps that the loop unrolls.
@pytest.mark.arm
@pytest.mark.parametrize(
    ("file", "n_instructions"),
    [
        ("gemm_b1_4x64_neon", 4 * 4),
        ("gemm_i8_4x16_neon", 4 * 4 * 8),
        ("gemm_i8_4x16_dotprod", 4 * 4 * 4),
        ("gemm_f32_8x8_neon", 8 * 2 * 4),
        ("conv_b1_4x64_neon", 4 * 4),
        ("softmax_b1_neon", 4 * 4),
    ],
)
def test_the_loop_of_a_kernel_is_that_of_its_whole_tile(file, n_instructions):
    assert shutil.which("aarch64-linux-gnu-g++"), "apt install g++-aarch64-linux-gnu"
    hot = next(hot for hot in HOT if hot.file == file)
    assert loop_of(hot).count(hot.of) == n_instructions
