"""The verbs of the command line, one per stage."""

from __future__ import annotations

from collections.abc import Callable

from earbit.cli.judging import errors, profile, superb
from earbit.cli.running import bench, doctor, export, run
from earbit.cli.training import binarize, prepare, pretrain, study, units

VERBS: dict[str, Callable[..., None]] = {
    "study": study,
    "prepare": prepare,
    "units": units,
    "pretrain": pretrain,
    "binarize": binarize,
    "errors": errors,
    "profile": profile,
    "superb": superb,
    "export": export,
    "run": run,
    "bench": bench,
    "doctor": doctor,
}
