"""The runtime on CPUs that are not here: 64-bit ARM, and x86 without AVX2, as qemu emulates them.

`make test-arm` and `make test-old-cpu` run it, each with the marker of its name.
"""

import shutil
import subprocess

import numpy as np
import pytest
from small_programs import write_programs
from test_capi import NAMES, SAMPLES, write_wav

from earbit.runtime import Session
from native_build import ROOT, built

ARM = {"qemu-aarch64": "qemu-user", "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu"}
OLD = {"qemu-x86_64": "qemu-user"}
# (how qemu is started, preset, the instruction set that must be chosen)
CPUS = [
    pytest.param(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "cortex-a53"], "aarch64",
                 "neon", ARM, marks=pytest.mark.arm, id="cortex-a53"),
    pytest.param(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-cpu", "cortex-a76"], "aarch64",
                 "dotprod", ARM, marks=pytest.mark.arm, id="cortex-a76"),
    pytest.param(["qemu-x86_64", "-cpu", "Nehalem"], "programs", "scalar", OLD,
                 marks=pytest.mark.old_cpu, id="nehalem"),
]  # fmt: skip


def emulated(emulator, preset, tools, program, *arguments):
    missing = [f"{tool} (apt install {package})" for tool, package in tools.items()
               if shutil.which(tool) is None]  # fmt: skip
    assert not missing, "missing: " + ", ".join(missing)
    command = [*emulator, str(built(preset) / program), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("emulator", "preset", "isa", "tools"), CPUS)
def test_every_kernel_passes_the_self_test_on_another_cpu(emulator, preset, isa, tools):
    said = emulated(emulator, preset, tools, "self_test_program").splitlines()
    assert said[0] == f"isa {isa}"
    assert any(f"_{isa} ok" in line for line in said)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("emulator", "preset", "isa", "tools"), CPUS)
def test_the_example_in_c_computes_on_another_cpu(tmp_path, emulator, preset, isa, tools, name):
    write_programs(tmp_path)
    program = tmp_path / f"{name}.safetensors"
    wav = write_wav(tmp_path / "a.wav")
    emulated(emulator, preset, tools, "features", program, wav, tmp_path / "out.f32")
    expected = Session(program).run(SAMPLES.astype(np.float32) / 32768)
    features = np.fromfile(tmp_path / "out.f32", np.float32).reshape(expected.shape)
    # Float products of another tile are rounded elsewhere.
    assert np.allclose(features, expected, rtol=1e-4, atol=1e-4)
