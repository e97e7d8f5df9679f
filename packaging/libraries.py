"""Compiles libearbit for macOS on ARM and for Windows on x86-64 into a folder, with zig.

    python packaging/libraries.py --out dist

Needs the dependency group `wheels`.  Neither library has been run on its system.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from wheels import ROOT, tool

TARGETS = {
    "macos-arm64": ("aarch64-macos.11.0", "Darwin", "arm64"),
    "windows-x86_64": ("x86_64-windows-gnu", "Windows", "AMD64"),
}
"""Name of zig, and system and processor as CMake calls them."""


def build_library(name: str, out: Path) -> None:
    """Compiles and installs the library, its header and the file for pkg-config."""
    target, system, processor = TARGETS[name]
    build = ROOT / "build" / "libraries" / name
    shutil.rmtree(build, ignore_errors=True)
    # The package cmake is beside this Python.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "CMAKE_SYSTEM_NAME": system,
            "CMAKE_SYSTEM_PROCESSOR": processor,
            "CMAKE_C_COMPILER": tool(Path(folder), f"cc -target {target}"),
            "CMAKE_CXX_COMPILER": tool(Path(folder), f"c++ -target {target}"),
            "CMAKE_AR": tool(Path(folder), "ar"),
            "CMAKE_RANLIB": tool(Path(folder), "ranlib"),
            "CMAKE_UNITY_BUILD": "ON",
            "CMAKE_UNITY_BUILD_BATCH_SIZE": "16",
            "EARBIT_PYTHON": "OFF",
            "EARBIT_CAPI": "ON",
        }
        configure = ["cmake", "-S", ROOT, "-B", build]
        configure += [f"-D{name}={value}" for name, value in settings.items()]
        install = ["cmake", "--install", build, "--prefix", out / f"libearbit-{name}", "--strip"]
        for command in (configure, ["cmake", "--build", build, "--parallel", "2"], install):
            subprocess.run(command, env=os.environ | {"PATH": path}, check=True)


def main() -> None:
    """Builds all and lists the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    options = parser.parse_args()
    for name in options.target:
        build_library(name, options.out.resolve())
        for file in sorted((options.out / f"libearbit-{name}").rglob("*.*")):
            print(f"{file.stat().st_size / 1e6:6.2f} MB  {file.relative_to(options.out)}")


if __name__ == "__main__":
    main()
