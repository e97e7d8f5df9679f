"""Which ops give the same bits on every instruction set, given the same input (numerics.md)."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_programs import PLAIN, first_layer, floats, words
from test_kernels import ISAS, in_a_new_process

from earbit.export.program import Program, write_program

OF_FLOATS = {"conv_f32", "attention_f32"}
"""Ops that are products of floats: fused multiply-adds everywhere but on `scalar`."""


def write_every_kind_of_op(path):
    """Ops that all read one value of floats, which comes from bits and is the same everywhere."""
    program = Program()
    first_layer(program)
    tensors = {"weight": words(20, 24, 1, 70), "scale": floats(21, 24), "bias": floats(22, 24)}
    ints = PLAIN | {"unsigned": 1, "out_groups": 1}
    value = program.add("gemm_b1", [program.bits["first"]], ints=ints, tensors=tensors)
    norm = {"floats": {"eps": 1e-5}, "tensors": {"weight": floats(4, 24), "bias": floats(5, 24)}}
    taps = {"kernel": 5, "stride": 1, "pad_left": 2, "pad_right": 2}
    filters = {"weight": floats(28, 24, 5), "bias": floats(29, 24)}
    for op in ("glu", "gelu", "silu", "relu", "mean_frames"):
        program.add(op, [value])
    program.add("add", [value, value])
    program.add("layer_norm", [value], **norm)
    program.add("group_norm", [value], **norm)
    program.add("depthwise_f32", [value], ints=taps, tensors=filters)
    program.add("sinusoids", [value], ints={"columns": 12}, tensors={"frequency": floats(30, 6)})
    codes = program.add(
        "quantize",
        [value],
        ints={"bits": 8, "unsigned": 0},
        floats={"scale": 0.1, "factor": 1.0},
        tensors={"shift": floats(55, 24)},
    )
    scales = {"q_scale": 0.01, "k_scale": 0.02, "prob_scale": 0.01, "v_scale": 0.5}
    heads = {"heads": 3, "radius": -1}
    program.add("attention_i8", [codes] * 3, ints=heads | {"prob_bits": 8}, floats=scales)
    program.add("attention_f32", [value] * 3, ints=heads, floats={"score_scale": 0.5})
    program.add("conv_f32", [value], ints=PLAIN, tensors={"weight": floats(99, 16, 24)})
    program.outputs = [value]
    write_program(program, path, {"name": "ops"})
    return [op["op"] for op in program.ops]


@pytest.mark.skipif(len(ISAS) < 2, reason="this CPU has one instruction set")
def test_products_of_floats_are_the_only_ops_whose_bits_depend_on_the_instruction_set(tmp_path):
    path = Path(tmp_path / "ops.safetensors")
    ops = write_every_kind_of_op(path)
    code = f"""if True:
        import hashlib, json
        import numpy as np
        from earbit import Session
        audio = np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)
        values = Session({str(path)!r}).values(audio, range(1, {len(ops)} + 1))
        print(json.dumps([hashlib.sha256(value.tobytes()).hexdigest() for value in values]))
    """
    digests = {}
    for isa in ISAS:
        done = in_a_new_process(code, isa)
        assert done.returncode == 0, done.stderr
        digests[isa] = np.array(json.loads(done.stdout))
    differing = {
        op for i, op in enumerate(ops) if len({digest[i] for digest in digests.values()}) > 1
    }
    assert differing == OF_FLOATS
    if {"avx2", "avx512"} <= set(ISAS):
        assert (digests["avx2"] == digests["avx512"]).all()
