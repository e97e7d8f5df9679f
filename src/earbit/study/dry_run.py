"""What a study would do, before it does it: steps, hours, disk, and the lines for torchrun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from earbit.study.overview import duration
from earbit.study.results import Results
from earbit.study.schedule import urgencies
from earbit.study.stages.table import STAGES
from earbit.study.step import Place, Step, in_order, read_result
from earbit.text_table import aligned

SCORE = "score"


def render_dry_run(results: Results, places: Mapping[str, Place], lines: Sequence[str]) -> str:
    """Renders one line per step and the totals.  lines: the `torchrun` commands, possibly none."""
    steps, request = results.steps, results.request
    left = [step for step in in_order(steps) if read_result(step, places[step.id]) is None]
    table = [["step", "time", "folder"]]
    table += [[step.id, duration(step.estimate_s), str(places[step.id].folder)] for step in left]
    sums = [["stage", "steps", "time", "disk"]]
    for name, stage in STAGES.items():
        of_stage = [step for step in left if step.stage == name]
        if of_stage:
            time_s = sum(step.estimate_s for step in of_stage)
            sums.append([stage.title, str(len(of_stage)), duration(time_s), _gb(of_stage)])
    return "\n".join(
        [
            *aligned(table),
            "",
            *aligned(sums),
            *(f"{task} is left out: {reason}" for task, reason in results.served.left_out.items()),
            f"{len(steps) - len(left)} of {len(steps)} steps are done; the others take about "
            f"{duration(total_s(left, request.n_jobs))} with {request.n_jobs} at a time, and "
            f"{disk_bytes(left, request.n_jobs) / 1e9:.1f} GB of disk",
            "trainings: measured passes over noise here; tasks and the rest: constants of a core "
            "of Zen 3 (docs/study.md)",
            *lines,
            "nothing was run",
        ]
    )


def total_s(steps: Sequence[Step], n_jobs: int) -> float:
    """Estimated time of steps that run together: their sum over the jobs, or the longest chain."""
    together_s = sum(step.estimate_s for step in steps if not step.is_alone) / n_jobs
    alone_s = sum(step.estimate_s for step in steps if step.is_alone)
    return max(together_s + alone_s, max(urgencies(steps).values(), default=0.0))


def disk_bytes(steps: Sequence[Step], n_jobs: int) -> float:
    """Estimated disk: all results, and the features of as many tasks as run at a time."""
    features = sorted((s.estimate_bytes for s in steps if s.stage == SCORE), reverse=True)
    others = sum(step.estimate_bytes for step in steps if step.stage != SCORE)
    return others + sum(features[:n_jobs])


def _gb(steps: Sequence[Step]) -> str:
    n_bytes = sum(step.estimate_bytes for step in steps)
    return f"{n_bytes / 1e9:.2f} GB"
