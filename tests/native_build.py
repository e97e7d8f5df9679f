"""Builds the tests that are programs of their own (tests/csrc) by a preset of CMakePresets.json."""

import fcntl
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


@cache
def built(preset: str) -> Path:
    """The folder of the programs; only the first call of a process asks CMake what has changed."""
    cmake = str(Path(sys.executable).with_name("cmake"))
    folder = ROOT / "build" / preset
    folder.mkdir(parents=True, exist_ok=True)
    # Tests run in several processes, and a folder is built by one at a time.
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in ([cmake, "--preset", preset], [cmake, "--build", "--preset", preset]):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder / "tests" / "csrc"


def ran(program: Path, *arguments: object, timeout_s: float = 600) -> str:
    """What a program printed; an AssertionError with what it complained of when it failed."""
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
