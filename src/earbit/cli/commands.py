"""The commands of `earbit`, one per stage."""

from __future__ import annotations

from earbit.cli.arguments import Command
from earbit.cli.choosing import choose
from earbit.cli.exporting import export
from earbit.cli.judging import curves, profile, propagation, report
from earbit.cli.pretraining import pretrain, units
from earbit.cli.running import bench, doctor, run
from earbit.cli.scoring import superb, superb_report
from earbit.cli.training import import_, prepare, quantize, study

COMMANDS: dict[str, Command] = {
    "study": study,
    "report": report,
    "prepare": prepare,
    "units": units,
    "pretrain": pretrain,
    "curves": curves,
    "import": import_,
    "quantize": quantize,
    "propagation": propagation,
    "profile": profile,
    "choose": choose,
    "superb": superb,
    "superb report": superb_report,
    "export": export,
    "run": run,
    "bench": bench,
    "doctor": doctor,
}
