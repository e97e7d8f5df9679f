"""The runtime on CPUs that are not here: 64-bit ARM, and x86 before AVX-512, as qemu emulates them.

`make test-arm` and `make test-old-cpu` run it, each with the marker of its name. qemu translates no
AVX-512 (its 7.2 says so of every such feature), so kernels of that set run on CPUs that have it,
and in plain C, all but gemm_f32: test_avx512_emulated.py.
"""

import shutil
import subprocess

import numpy as np
import pytest
from program_parts import CUT, PLAIN, floats, limits, words
from small_programs import write_programs
from test_capi import NAMES, SAMPLES, write_wav

from earbit.export.program import WAVEFORM, Program, write_program
from earbit.runtime import Session
from native_build import ROOT, built, ran

ARM = {"qemu-aarch64": "qemu-user", "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu"}
OLD = {"qemu-x86_64": "qemu-user"}
N_SHAPES = 1000
# The instruction sets of a CPU, of which the last is chosen.
SCALAR, AVX2 = ["scalar"], ["scalar", "avx2"]
NEON, DOTPROD = ["scalar", "neon"], ["scalar", "neon", "dotprod"]
# (how qemu is started, preset, instruction sets, what must be installed)
CPUS = [
    pytest.param(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "cortex-a53"], "aarch64",
                 NEON, ARM, marks=pytest.mark.arm, id="cortex-a53"),
    pytest.param(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "cortex-a76"], "aarch64",
                 DOTPROD, ARM, marks=pytest.mark.arm, id="cortex-a76"),
    pytest.param(["qemu-x86_64", "-cpu", "Nehalem"], "programs", SCALAR, OLD,
                 marks=pytest.mark.old_cpu, id="nehalem"),
    pytest.param(["qemu-x86_64", "-cpu", "Haswell"], "programs", AVX2, OLD,
                 marks=pytest.mark.old_cpu, id="haswell"),
]  # fmt: skip


def emulated(emulator, preset, tools, program, *arguments):
    missing = [f"{tool} (apt install {package})" for tool, package in tools.items()
               if shutil.which(tool) is None]  # fmt: skip
    assert not missing, "missing: " + ", ".join(missing)
    command = [*emulator, str(built(preset) / program), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("emulator", "preset", "isas", "tools"), CPUS)
def test_every_kernel_passes_the_self_test_on_another_cpu(emulator, preset, isas, tools):
    said = emulated(emulator, preset, tools, "self_test_program").splitlines()
    assert said[0] == f"isa {isas[-1]}"
    # Every kernel has a file, which ends with its set.
    files = [path.stem for path in (ROOT / "csrc" / "kernels").glob("*.cc")]
    expected = {name for name in files if name.split("_")[-1] in isas}
    assert {line.partition(" ok")[0] for line in said[1:]} == expected


@pytest.mark.parametrize(("emulator", "preset", "isas", "tools"), CPUS)
def test_random_shapes_give_the_same_bits_on_another_cpu(emulator, preset, isas, tools):
    said = emulated(emulator, preset, tools, "random_shapes", N_SHAPES, 1).splitlines()
    # The digest is of all results of this CPU's best set.
    here = ran(built("programs") / "random_shapes", N_SHAPES, 1).splitlines()
    assert said == [f"isa {isas[-1]}", here[-1]]


def write_integer_program(path):
    """A program of bits and codes: its floats are sums and comparisons in one fixed order.

    The first layer is a filter of elementwise.h; everything behind it is a product of
    integers, scaled, or a code of one. The table of the attention is exp of the C library, whose
    last bit may differ, but no probability here is that near to its limit.
    """
    program = Program()
    norm = {"norm_weight": floats(51, 70), "norm_bias": floats(52, 70)}
    tensors = {"weight": floats(50, 70, CUT["kernel"]), "threshold": floats(53, 70)} | norm
    ints = {"kernel": CUT["kernel"], "stride": CUT["stride"]}
    bits = program.add(
        "waveform_bits", [WAVEFORM], ints=ints, floats={"eps": 1e-5}, tensors=tensors
    )
    ints = PLAIN | {"kernel": 3, "pad_left": 1, "unsigned": 0, "out_groups": 2}
    tensors = {"weight": words(54, 36, 3, 70), "threshold": limits(55, 36)}
    heads = program.add("conv_b1", [bits], ints=ints, tensors=tensors)
    numbers = {"score_scale": 0.1, "prob_half": 0.02}
    tensors = {"threshold": limits(56, 36)}
    ints = {"head_dim": 18, "radius": 20}
    bits = program.add("attention_b1", [heads] * 3, ints=ints, floats=numbers, tensors=tensors)
    ints = {"kernel": 5, "stride": 1, "pad_left": 2, "pad_right": 2, "unsigned": 1}
    tensors = {"weight": words(57, 36, 1, 5), "threshold": limits(58, 36)}
    bits = program.add("depthwise_b1", [bits], ints=ints, tensors=tensors)
    tensors = {"weight": words(59, 12, 1, 36), "scale": floats(60, 12), "bias": floats(61, 12)}
    value = program.add(
        "gemm_b1", [bits], ints=PLAIN | {"unsigned": 0, "out_groups": 1}, tensors=tensors
    )
    states = [value]
    octets = np.random.default_rng(62).integers(0, 256, (12, 12), dtype=np.uint8)
    for op, more, weight in (
        ("gemm_i8", {"weight_bits": 8}, octets),
        ("gemm_planes", {}, words(63, 12, 1, 12)),
    ):
        codes = program.add(
            "quantize",
            [value],
            ints={"bits": 4, "unsigned": 0},
            floats={"scale": 0.7, "factor": 1.0},
            tensors={"shift": floats(64, 12)},
        )
        tensors = {"weight": weight, "scale": floats(65, 12), "bias": floats(66, 12)}
        value = program.add(op, [codes], ints=PLAIN | more, tensors=tensors)
        states.append(value)
    program.outputs = states
    write_program(program, path, {"name": "integers"})


@pytest.mark.parametrize(("emulator", "preset", "isas", "tools"), CPUS)
def test_a_program_of_integers_gives_the_same_bits_on_another_cpu(
    tmp_path, emulator, preset, isas, tools
):
    program = tmp_path / "integers.safetensors"
    write_integer_program(program)
    wav = write_wav(tmp_path / "a.wav")
    emulated(emulator, preset, tools, "features", program, wav, tmp_path / "out.f32")
    expected = Session(program).run(SAMPLES.astype(np.float32) / 32768)
    assert len(np.unique(expected)) > 100
    assert (tmp_path / "out.f32").read_bytes() == expected.tobytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("emulator", "preset", "isas", "tools"), CPUS)
def test_the_example_in_c_computes_on_another_cpu(tmp_path, emulator, preset, isas, tools, name):
    write_programs(tmp_path)
    program = tmp_path / f"{name}.safetensors"
    wav = write_wav(tmp_path / "a.wav")
    emulated(emulator, preset, tools, "features", program, wav, tmp_path / "out.f32")
    expected = Session(program).run(SAMPLES.astype(np.float32) / 32768)
    features = np.fromfile(tmp_path / "out.f32", np.float32).reshape(expected.shape)
    # These begin with a convolution of floats, whose sums (gemm_f32) some sets round once where
    # others do twice, so their last bits differ. No number here is so near to a threshold that a
    # bit behind it differs too.
    assert np.allclose(features, expected, rtol=1e-4, atol=1e-4)
