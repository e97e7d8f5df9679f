"""Integer kernels and ops give the same bits on every instruction set and any number of threads.

`tests/csrc/random_shapes.cc` holds them against plain arithmetic at random shapes; a failure names
the seed of its shape, which `random_shapes 1 SEED` shows again. Its digest of all results but those
of attention_b1 must be the same everywhere: `test_other_cpus.py` compares those of other CPUs.
"""

from pathlib import Path

import pytest

from earbit import _core
from native_build import built, ran

ISAS = [k["isa"] for k in _core.kernels() if k["op"] == "gemm_b1" and k["available"]]
N_SHAPES = 600
N_SHAPES_SLOW = 100_000
N_SHAPES_SANITIZED = 6000


def tried(preset, isa, n_shapes, seed):
    """The last line: how many shapes, and their digest."""
    program = built(preset) / "random_shapes"
    # Kernels are tried of all sets; ops are of the one that a process chooses.
    said = ran(Path("/usr/bin/env"), f"EARBIT_ISA={isa}", program, n_shapes, seed, timeout_s=3000)
    chosen, last = said.splitlines()
    assert chosen == f"isa {isa}"
    return last


def read_nothing_beyond(n_shapes, seed):
    # With sanitizers; operands are exactly as long as a kernel may read.
    of_each = n_shapes // len(ISAS)
    last = {tried("asan", isa, of_each, seed) for isa in ISAS}
    assert len(last) == 1
    assert last.pop().startswith(f"{of_each} shapes, digest ")


def test_random_shapes_are_right_and_read_nothing_beyond_their_operands():
    read_nothing_beyond(N_SHAPES, 1)


@pytest.mark.slow
def test_thousands_of_random_shapes_read_nothing_beyond_their_operands():
    read_nothing_beyond(N_SHAPES_SANITIZED, 10_000)


@pytest.mark.slow
def test_a_hundred_thousand_random_shapes_are_right_on_every_instruction_set():
    last = {tried("programs", isa, N_SHAPES_SLOW, 1_000_000) for isa in ISAS}
    assert len(last) == 1
    assert last.pop().startswith(f"{N_SHAPES_SLOW} shapes, digest ")
