"""Compiles libearbit for systems that have no wheels, with zig.

    python packaging/libearbit.py --target aarch64-macos x86_64-windows --out dist

Needs the dependency group `wheels`, CMake and make.  The libraries have not been run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from wheels import ROOT, tool

TARGETS = {
    "aarch64-macos": ("aarch64-macos", "Darwin", "arm64"),
    "x86_64-windows": ("x86_64-windows-gnu", "Windows", "AMD64"),
}
"""Names of a target for zig, and of its system and processor for CMake."""
LIBRARIES = ("*.dylib", "*.dll", "*.dll.a")


def build(target: str, out: Path) -> list[Path]:
    """Compiles the library of one target into a folder of its own; returns its files."""
    name, system, processor = TARGETS[target]
    folder = ROOT / "build" / f"libearbit-{target}"
    with tempfile.TemporaryDirectory() as made:
        scripts = Path(made)
        commands = {"AR": "ar", "RANLIB": "ranlib", "CXX_COMPILER": f"c++ -target {name}"}
        settings = {f"CMAKE_{key}": tool(scripts, command) for key, command in commands.items()}
        settings |= {
            "CMAKE_SYSTEM_NAME": system,
            "CMAKE_SYSTEM_PROCESSOR": processor,
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_UNITY_BUILD": "ON",
            "CMAKE_UNITY_BUILD_BATCH_SIZE": "16",
            "EARBIT_PYTHON": "OFF",
            "EARBIT_CAPI": "ON",
            "EARBIT_DOTPROD": "-mcpu=generic+v8_2a+dotprod",
        }
        shutil.rmtree(folder, ignore_errors=True)
        defined = [f"-D{key}={value}" for key, value in settings.items()]
        subprocess.run(["cmake", "-S", ROOT, "-B", folder, *defined], check=True)
        subprocess.run(
            ["cmake", "--build", folder, "--parallel", str(os.cpu_count() or 1)], check=True
        )
    into = out / f"libearbit-{target}"
    into.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "csrc" / "capi" / "earbit.h", into)
    found = [path for pattern in LIBRARIES for path in folder.rglob(pattern)]
    return [Path(shutil.copy(path, into)) for path in found]


def main() -> None:
    """Compiles all targets and lists their files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", nargs="+", choices=sorted(TARGETS), default=sorted(TARGETS))
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    for target in options.target:
        for file in build(target, options.out.resolve()):
            print(f"{file.stat().st_size / 1e6:6.2f} MB  {file}")


if __name__ == "__main__":
    main()
