"""What a user sees when a training meets a fault, and whether nothing is lost.

    python benchmarks/faults.py [--only NAME ...] [--json FILE or -]

Every case starts `earbit` as a user does and checks exit status, messages and files.  The corpus is
500 clips of noise.  Linux alone; a full disk is a small tmpfs, which root can mount.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from earbit.audio.corpus import QUARANTINE_NAME
from earbit.pretrain.checkpoint import CHECKPOINTS, steps_done
from fault_runs import N_STEPS, SETTINGS, Place, Result, same_bits, told, write_corpus
from rank_faults import dead_rank_0, dead_rank_1, nan_on_one_rank
from report import arguments, machine, show
from torchrun import log_of, start, to_the_end, wait_for_step

TMPFS_MB = 160


def corrupt(place: Place) -> Result:
    """1 % of the files are damaged in five ways: exactly they are quarantined."""
    folder, out = place.folder / "damaged", place.folder / "corrupt"
    write_corpus(folder)
    for i, name in enumerate(("017", "120", "233", "314", "499")):
        path = folder / f"{name}.flac"
        whole = path.read_bytes()
        middle = len(whole) // 2
        path.write_bytes(
            (
                b"",
                b"not audio\n" * 100,
                whole[:middle],
                whole[:middle] + bytes(500) + whole[middle + 500 :],
                whole[60:],
            )[i]
        )
    run = start(*place.command(out, f"corpus={folder}", "units=null", "n_units=20"))
    said = told(run.communicate()[1])
    files = [out / QUARANTINE_NAME, out / "units" / QUARANTINE_NAME]
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    found = sorted({Path(json.loads(line)["path"]).stem for line in lines})
    return {
        "status": run.returncode,
        "said": said,
        "quarantined": [json.loads(line) for line in lines],
        "checks": {
            "the run ends as it should": run.returncode == 0,
            "exactly the 5 damaged files are listed": found == ["017", "120", "233", "314", "499"],
            "each is listed once": len(lines) == 5,
        },
    }


def sigterm(place: Place, *command: str, log_folder: Path, out: Path) -> Result:
    """SIGTERM during training steps: a checkpoint of the last step, status 143."""
    run = start(*command)
    is_there = wait_for_step(run, log_folder, 3, None)
    run.terminate()
    errors = run.communicate()[1]
    saved = steps_done(log_folder / CHECKPOINTS)
    return {
        "status": run.returncode,
        "said": told(errors),
        "checks": {
            "it is training": is_there,
            "status 143": run.returncode == 128 + signal.SIGTERM,
            "the last step is saved": saved >= log_of(log_folder)[-1]["step"] >= 3,
            "one line says that the same command resumes": sum(
                "resumes" in line and str(saved) in line for line in told(errors)
            )
            == 1,
            "no traceback": "Traceback" not in errors,
            "no lock is left": not list(out.rglob(".lock")),
        },
    }


def sigterm_pretrain(place: Place) -> Result:
    out = place.folder / "terminated"
    seen = sigterm(place, *place.command(out), log_folder=out, out=out)
    to_the_end(*place.command(out))
    seen["checks"]["resumed, the model has the same bits"] = same_bits(place.whole, out)
    return seen


def sigterm_quantize(place: Place) -> Result:
    out = place.folder / "terminated-quantize"
    command = ["quantize", str(place.whole), "--corpus", str(place.corpus), "--out", str(out)]
    command += ["--n-steps", "200", *SETTINGS]
    return sigterm(place, *command, log_folder=out / "1-w1a2", out=out)


def sigterm_study(place: Place) -> Result:
    """SIGTERM during a pre-training of a study: its process writes a checkpoint first."""
    out = place.folder / "terminated-study"
    run = start("study", "--encoders", "hubert-tiny", "--tasks", "ks", "--out", str(out))
    folders: list[Path] = []
    while run.poll() is None and not folders:
        folders = list((out / "hubert-tiny" / "fp32" / "seed0").glob("pretrain-*"))
        time.sleep(0.1)
    is_there = bool(folders) and wait_for_step(run, folders[0], 3, None)
    run.terminate()
    errors = run.communicate()[1]
    return {
        "status": run.returncode,
        "said": told(errors)[-1:],
        "checks": {
            "it is training": is_there,
            "status 143": run.returncode == 128 + signal.SIGTERM,
            "the last step is saved": is_there
            and steps_done(folders[0] / CHECKPOINTS) >= log_of(folders[0])[-1]["step"] >= 3,
            "one line says that the same command resumes": sum(
                "the same command resumes" in line for line in told(errors)
            )
            == 1,
            "no traceback": "Traceback" not in errors,
            "no lock is left": not list(out.rglob(".lock")),
        },
    }


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(folder)], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def full_disk(place: Place, *settings: str, left: float) -> Result:
    """The disk fills up after the first checkpoint; left: free space, in checkpoints."""
    with small_disk(place.folder / f"disk-{left}") as disk:
        out = disk / "run"
        run = start(*place.command(out, *settings))
        while run.poll() is None and not steps_done(out / CHECKPOINTS):
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGSTOP)
        checkpoint = out / CHECKPOINTS / f"step-{steps_done(out / CHECKPOINTS):08d}"
        size = sum(file.stat().st_size for file in checkpoint.iterdir())
        at = os.statvfs(disk)
        (disk / "ballast").write_bytes(bytes(at.f_bavail * at.f_frsize - int(left * size)))
        os.kill(run.pid, signal.SIGCONT)
        errors = run.communicate()[1]
        kept = steps_done(out / CHECKPOINTS)
        (disk / "ballast").unlink()
        to_the_end(*place.command(out, *settings))
        is_same, is_log_same = same_bits(place.whole, out), log_of(place.whole) == log_of(out)
    return {
        "status": run.returncode,
        "said": told(errors),
        "checks": {
            "status 2": run.returncode == 2,
            "one line about the space": sum("free some space" in x for x in told(errors)) == 1,
            "no traceback": "Traceback" not in errors,
            "the first checkpoint is kept": 0 < kept < N_STEPS,
            "resumed, the model has the same bits": is_same,
            "resumed, the log has the same lines": is_log_same,
        },
    }


def full_disk_checkpoint(place: Place) -> Result:
    return full_disk(place, left=0.5)


def full_disk_log(place: Place) -> Result:
    return full_disk(place, "train.checkpoint_every_steps=12", left=0.0)


def two_processes(place: Place) -> Result:
    """A second process in the folder of a run is refused, and the first is not disturbed."""
    out = place.folder / "shared"
    run = start(*place.command(out))
    wait_for_step(run, out, 1, None)
    os.kill(run.pid, signal.SIGSTOP)  # it would end before the second has begun
    second = start(*place.command(out))
    said = told(second.communicate()[1])
    os.kill(run.pid, signal.SIGCONT)
    run.communicate()
    return {
        "status": second.returncode,
        "said": said,
        "checks": {
            "status 2": second.returncode == 2,
            "one line names the process": len(said) == 1 and f"process {run.pid} " in said[0],
            "the first ends as it should": run.returncode == 0,
            "the model has the same bits": same_bits(place.whole, out),
        },
    }


CASES: dict[str, Callable[[Place], Result]] = {
    case.__name__: case
    for case in (
        corrupt,
        sigterm_pretrain,
        sigterm_quantize,
        sigterm_study,
        full_disk_checkpoint,
        full_disk_log,
        two_processes,
        dead_rank_0,
        dead_rank_1,
        nan_on_one_rank,
    )
}


def main() -> None:
    parser = arguments(__doc__, runs=1)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    here = machine(1)
    found: dict[str, Result] = {}
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = Place(folder, folder / "corpus", folder / "units", folder / "whole")
        write_corpus(place.corpus)
        to_the_end("units", str(place.corpus), "--n-units", "20", "--out", str(place.units))
        to_the_end(*place.command(place.whole))
        for case in options.only:
            found[case] = CASES[case](place)
            checks = found[case]["checks"]
            said = [line.replace(str(folder), "DIR") for line in found[case]["said"]]
            lines += [f"{case}: status {found[case]['status']}", *said]
            lines += [f"  {'yes' if is_so else 'NO '}  {claim}" for claim, is_so in checks.items()]
    found = json.loads(json.dumps(found).replace(str(folder), "DIR"))
    n_wrong = sum(not is_so for case in found.values() for is_so in case["checks"].values())
    lines.append(f"{n_wrong} claims do not hold")
    show({"machine": here, "cases": found, "n_wrong": n_wrong}, lines, options.json)


if __name__ == "__main__":
    main()
