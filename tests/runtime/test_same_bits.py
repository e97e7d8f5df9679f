"""Which ops give the same bits on every instruction set, given the same input (numerics.md)."""

import json

import numpy as np
import pytest
from small_programs import first_layer, small_programs
from test_fuzz import known_ops
from test_kernels import ISAS, in_a_new_process

from earbit.export.program import WAVEFORM, Program, write_program

OF_FLOATS = {
    "conv_f32",
    "lstm",
    "attention_f32",
    "relative_attention_f32",
}
"""Ops that are products of floats: fused multiply-adds everywhere but on `scalar`."""


def in_quarters(numbers):
    """Numbers whose products with few others like them are exact, however they are rounded."""
    return np.round(4 * numbers) / 4


def plain_ops():
    """Ops that read only what products of floats or sums of few bits make in small programs."""
    program = Program()
    (value,) = first_layer(program)
    both = program.add("add", [value, program.add("relu", [value])])
    program.outputs = [both, program.add("deviation_frames", [both], floats={"eps": 1e-5})]
    return program


def write_programs_that_begin_alike(folder):
    """The small programs, which have every op, with the same values behind their first op."""
    programs = {}
    for name, program in [*small_programs(), ("plain_ops", plain_ops())]:
        first = program.ops[0]
        if first["op"] == "conv_f32" and first["inputs"] == [WAVEFORM]:
            for tensor in first["tensors"].values():
                program.tensors[tensor] = in_quarters(program.tensors[tensor])
        write_program(program, folder / f"{name}.safetensors", {"name": name})
        programs[name] = program.ops
    return programs


@pytest.mark.skipif(len(ISAS) < 2, reason="this CPU has one instruction set")
def test_products_of_floats_are_the_only_ops_whose_bits_depend_on_the_instruction_set(tmp_path):
    programs = write_programs_that_begin_alike(tmp_path)
    code = f"""if True:
        import hashlib, json
        from pathlib import Path
        import numpy as np
        from earbit import Session
        audio = np.random.default_rng(0).integers(-2, 3, 8000).astype(np.float32) / 4
        digests = {{}}
        for name, n_ops in {[(name, len(ops)) for name, ops in programs.items()]!r}:
            session = Session(Path({str(tmp_path)!r}) / f"{{name}}.safetensors")
            values = session.values(audio, range(n_ops + 1))
            digests[name] = [hashlib.sha256(value.tobytes()).hexdigest() for value in values]
        print(json.dumps(digests))
    """
    found = {}
    for isa in ISAS:
        done = in_a_new_process(code, isa)
        assert done.returncode == 0, done.stderr
        found[isa] = json.loads(done.stdout)
    # An op is judged where it reads the same everywhere; what follows is not its doing.
    judged, differing = set(), set()
    for name, ops in programs.items():
        n_kinds = [
            len(set(digests)) for digests in zip(*(found[isa][name] for isa in ISAS), strict=True)
        ]
        for i, op in enumerate(ops):
            if all(n_kinds[value] == 1 for value in op["inputs"]):
                judged.add(op["op"])
                if n_kinds[i + 1] > 1:
                    differing.add(op["op"])
    assert judged == known_ops()
    assert differing == OF_FLOATS
    of_x86 = [found[isa] for isa in ISAS if isa.startswith("avx")]
    assert all(digests == of_x86[0] for digests in of_x86)
