"""Checks an installed earbit against results of the source tree; runs in the environment to check.

    python packaging/check_install.py FOLDER [--in-process]

FOLDER holds program.safetensors, speech.wav, features.npy, and isa.txt with the instruction set.
Needs earbit and numpy alone.
--in-process leaves out `earbit bench`, which starts processes: an emulated Python cannot.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import earbit
from earbit.cli.main import main as earbit_main

TOLERANCE = 1e-4
"""Largest difference of features: compilers order sums of floats differently."""


def command(*arguments: object) -> tuple[int, str, str]:
    """Exit status, output and messages of a command, run in this process."""
    out, messages = io.StringIO(), io.StringIO()
    status: Any = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(messages):
        try:
            earbit_main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code or 0
    return int(status), out.getvalue(), messages.getvalue()


def check(is_right: bool, what: str) -> None:
    """Ends the process with a message if a check fails."""
    if not is_right:
        raise SystemExit(f"FAILED: {what}")
    print(f"passed: {what}")


def main() -> None:
    """Runs all checks."""
    folder = Path(sys.argv[1])
    program, speech = folder / "program.safetensors", folder / "speech.wav"
    installed = Path(earbit.__file__).parent
    print(f"earbit {earbit.__version__} in {installed}, Python {sys.version.split()[0]}")
    check("src" not in installed.parts, "the installed package is tested, not the source tree")
    check(importlib.util.find_spec("torch") is None, "there is no PyTorch")
    status, out, messages = command("doctor", "--json", "-")
    report = json.loads(out)
    check(status == 0 and report["ok"], f"doctor: all kernels are right ({report['isa']})")
    is_emulated = "--in-process" in sys.argv  # another CPU than that of the source tree
    if is_emulated:
        check(report["isa"] != "scalar", "kernels of the CPU are used")
    else:
        wanted = (folder / "isa.txt").read_text()
        check(report["isa"] == wanted, f"the instruction set is {wanted}")
    expected = np.load(folder / "features.npy")
    features = earbit.Session(program).run(earbit.read_audio(speech))
    error = float(np.abs(features - expected).max())
    check(error <= TOLERANCE, f"features differ by {error:.1g} from those of the source tree")
    status, out, messages = command("run", program, speech, "--json", "-")
    check(status == 0 and len(json.loads(out)) == 1, f"run {messages}")
    status, _, messages = command("profile", "hubert-tiny")
    check(status == 2 and "pip install" in messages, "profile names what to install")
    if not is_emulated:
        once = ("--engines", "none", "--seconds", "1", "--runs", "3", "--json", "-")
        status, out, messages = command("bench", program, *once)
        (record,) = json.loads(out)["records"]
        check(status == 0, f"bench: {record['median_ms']:.1f} ms for 1 s of audio")


if __name__ == "__main__":
    main()
