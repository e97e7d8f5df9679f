"""Times of ops: work by hand, shares of a chain and of the ceiling."""

import numpy as np
import pytest
from program_parts import PLAIN, floats, front_end, packed, words

from earbit import _core
from earbit.export.program import Program, write_program
from earbit.runtime import OpTime, Session, render_times
from earbit.runtime.op_times import op_times

AUDIO = np.sin(np.arange(8000)).astype(np.float32)
FRAMES = (8000 - 20) // 10 + 1


def seen_in_window(n, radius):
    return sum(min(n, i + radius + 1) - max(0, i - radius) for i in range(n))


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    program = Program()
    value = front_end(program, 36)
    heads = packed(program, value, 36, groups=2)
    numbers = {"score_scale": 0.1, "prob_half": 0.02, "scale": 0.5}
    seen = program.add(
        "attention_b1", [heads] * 3, ints={"head_dim": 18, "radius": 5}, floats=numbers
    )
    both = program.add("add", [seen, program.add("gelu", [seen])])
    bits = packed(program, both, 36)
    ints = {**PLAIN, "unsigned": 0, "out_groups": 1}
    tensors = {"weight": words(9, 10, 1, 36), "scale": floats(10, 10), "bias": floats(11, 10)}
    program.outputs = [program.add("gemm_b1", [bits], ints=ints, tensors=tensors)]
    path = tmp_path_factory.mktemp("times") / "program.safetensors"
    write_program(program, path, {"name": "times"})
    return Session(path)


def test_products_are_those_by_hand(session):
    found = {time.op: time.products for time in session.profile(AUDIO)}
    assert found == {
        "conv_f32": FRAMES * 20 * 36,
        "pack": 0,
        "attention_b1": 2 * seen_in_window(FRAMES, 5) * 36,
        "gelu": 0,
        "add": 0,
        "gemm_b1": FRAMES * 36 * 10,
    }


def test_ops_are_listed_alone_also_where_they_ran_together(session):
    times = session.profile(AUDIO)
    assert [time.op for time in times] == [
        *("conv_f32", "pack", "attention_b1", "gelu", "add", "pack", "gemm_b1")
    ]
    assert [time.chain for time in times] == [0, 0, 1, 1, 1, 1, 2]
    assert all(time.seconds > 0 for time in times)


def test_a_share_of_the_ceiling_is_that_of_all_threads(monkeypatch):
    monkeypatch.setattr("earbit.runtime.op_times._ceilings", lambda: {"b1": 1e9})
    slow, none = op_times([("gemm_b1", 0, 2.0, 3e9, "b1"), ("add", 0, 1.0, 0.0, "")], 2)
    assert slow.of_ceiling == pytest.approx(0.75)
    assert none.of_ceiling is None


def test_a_table_has_a_line_for_every_op():
    lines = render_times(
        [OpTime("gemm_b1", 0.002, 0, 1e9, 0.5), OpTime("add", 0.001, 0, 0, None)]
    ).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["gemm_b1", "2.000", "500.0", "50%"],
        ["add", "1.000"],
    ]


def test_every_kind_of_operands_has_a_ceiling():
    ceilings = _core.ceilings()
    assert set(ceilings) == {"f32", "i8", "b1"}
    assert all(value > 0 for value in ceilings.values())
