"""The verbs of the command line, one per stage."""

from __future__ import annotations

from collections.abc import Callable

from earbit.cli.judging import profile, propagation, superb
from earbit.cli.running import bench, doctor, export, run
from earbit.cli.training import prepare, pretrain, quantize, study, units

VERBS: dict[str, Callable[..., None]] = {
    "study": study,
    "prepare": prepare,
    "units": units,
    "pretrain": pretrain,
    "quantize": quantize,
    "propagation": propagation,
    "profile": profile,
    "superb": superb,
    "export": export,
    "run": run,
    "bench": bench,
    "doctor": doctor,
}
