"""Installs the wheels of a folder in new environments without a compiler, and checks them.

    python packaging/smoke_test.py --wheels dist --python python3.11 python3.12 python3.13
    python packaging/smoke_test.py --wheels dist --sdist python3.12
    python packaging/smoke_test.py --wheels dist --arm

Runs in the environment of the source tree, whose results the wheels must give.  --sdist compiles
the source package with the compiler of the system, which takes minutes.  --arm checks the
aarch64 wheel with Debian's Python in qemu-user (Debian: apt install qemu-user).  It runs as root,
because it adds the architecture arm64 to dpkg, whose packages it downloads and does not install.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

import earbit
from earbit import Session, _core, export_to, preset, quantized_copy, random_model, read_audio

CHECKS = Path(__file__).with_name("check_install.py")
DEBIAN_ARM = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1"),
    *("libstdc++6", "zlib1g", "libexpat1", "libffi8", "libssl3", "libbz2-1.0", "liblzma5"),
    "libcrypt1",
)
"""Debian packages of Python 3.11 for 64-bit ARM."""
ARM_PLATFORMS = tuple(f"manylinux_2_{glibc}_aarch64" for glibc in (28, 27, 26, 24, 17))
"""Wheels for that Python.  pip does not add older versions of glibc by itself."""


def write_expected(folder: Path) -> None:
    """Writes a 1-bit program, a second of noise, and its features by the source tree."""
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    soundfile.write(folder / "speech.wav", noise, 16000, subtype="PCM_16")
    waveform = read_audio(folder / "speech.wav")
    model = random_model(preset("hubert-tiny"), 0)
    student = quantized_copy(model, "w1a1", [waveform])
    program = folder / "program.safetensors"
    export_to(student, program, name="smoke", waveform=waveform)
    (folder / "isa.txt").write_text(_core.isa())
    np.save(folder / "features.npy", Session(program).run(waveform))


def try_here(python: str, wheels: Path, folder: Path, is_sdist: bool = False) -> None:
    """Installs earbit in a new environment of a Python and checks it.

    There is no compiler, except for the source package.
    """
    environment = folder / f"env-{Path(python).name}{'-sdist' if is_sdist else ''}"
    subprocess.run([python, "-m", "venv", environment], check=True)
    bin_folder = environment / "bin"
    variables = {"PATH": str(bin_folder), "HOME": str(folder), **_settings_of_pip()}
    run = [bin_folder / "python", "-m", "pip", "install", "--quiet"]
    # This version, not a newer one of an index.
    version = f"earbit=={earbit.__version__}"
    if is_sdist:
        (source,) = wheels.glob(f"earbit-{earbit.__version__}.tar.gz")
        run += [source]
        install = os.environ | variables | {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    else:
        run += ["--only-binary", ":all:", "--find-links", wheels, version]
        install = variables
    subprocess.run(run, env=install, check=True, cwd=folder)
    packages = next(environment.glob("lib/python*/site-packages"))
    for name in ("", "numpy", "numpy.libs", "earbit"):
        print(f"{_megabytes(packages / name):6.1f} MB installed: {name or 'everything, with pip'}")
    subprocess.run([bin_folder / "python", CHECKS, folder], env=variables, check=True, cwd=folder)


def try_arm(wheels: Path, folder: Path) -> None:
    """Checks the aarch64 wheel with Debian's Python for ARM in qemu-user."""
    debian, system, packages = folder / "debian", folder / "arm", folder / "arm-packages"
    debian.mkdir()
    subprocess.run(["dpkg", "--add-architecture", "arm64"], check=True)
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(
        ["apt-get", "download", "-qq", *(f"{name}:arm64" for name in DEBIAN_ARM)],
        cwd=debian,
        check=True,
    )
    for package in debian.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, system], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", packages]
        + [word for name in ARM_PLATFORMS for word in ("--platform", name)]
        + ["--python-version", "3.11"]
        + ["--implementation", "cp", "--only-binary", ":all:", "--find-links", wheels]
        + [f"earbit=={earbit.__version__}"],
        check=True,
    )
    subprocess.run(
        ["qemu-aarch64", "-L", system, system / "usr/bin/python3.11", CHECKS, folder]
        + ["--in-process"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(packages), "HOME": str(folder)},
        cwd=folder,
        check=True,
    )


def _settings_of_pip() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    """Checks the wheels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", type=Path, default=Path("dist"))
    parser.add_argument("--python", nargs="*", default=[])
    parser.add_argument("--sdist", nargs="*", default=[], metavar="PYTHON")
    parser.add_argument("--arm", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_expected(folder)
        for python in options.python:
            try_here(python, options.wheels.resolve(), folder)
        for python in options.sdist:
            try_here(python, options.wheels.resolve(), folder, is_sdist=True)
        if options.arm:
            try_arm(options.wheels.resolve(), folder)


if __name__ == "__main__":
    main()
