"""A plan as a real program: its measured time, size and penalty, and the choice of one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.measure import MeasuredTime
from earbit.bench.turns import N_WARM_UPS
from earbit.choose.judges import Judge
from earbit.choose.solve import UNITS, Budget, Candidates, Unit, best_choice
from earbit.choose.times import MB, SECONDS
from earbit.errors import ConfigError
from earbit.export.verb import MAX_SAMPLES, export_to
from earbit.model import AudioModel
from earbit.progress import progress
from earbit.quantize.calibrate import CalibrationConfig
from earbit.quantize.plan import Plan
from earbit.quantize.student import noise_clips, student_of
from earbit.runtime.session import Session

N_RUNS = 11
MAX_ROUNDS = 5
"""Plans that are built at most, until the estimate of one is right."""

Choice = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """Figures of the program of a calibrated plan."""

    time: MeasuredTime
    """Of SECONDS of audio on one thread."""
    mb: float
    """Size of the program file in MB."""
    penalty: float
    agreement: dict[str, Any]
    """Agreement of the program with PyTorch."""

    def cost(self, unit: Unit) -> float:
        """The measured cost."""
        return self.time.median_ms if unit == "ms" else self.mb

    def is_within(self, budget: Budget) -> bool:
        """Whether no measured cost is above the budget."""
        limits = [(unit, budget.of(unit)) for unit in UNITS]
        return all(limit is None or self.cost(unit) <= limit for unit, limit in limits)


def build(
    teacher: AudioModel, plan: Plan, clips: Sequence[np.ndarray], judge: Judge, seed: int
) -> Built:
    """Calibrates a model under a plan, packs it and measures it."""
    student = student_of(teacher, plan, list(clips), CalibrationConfig()).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.safetensors"
        found = export_to(student, path, name=plan.name, waveform=clips[0][:MAX_SAMPLES])
        measured = timed(path, seed)
    return Built(measured, found["bytes"] / MB, judge(student), found["agreement"])


def timed(program: Path, seed: int) -> MeasuredTime:
    """Time of a program for SECONDS of noise on one thread."""
    session = Session(program, threads=1)
    (audio,) = noise_clips(seed, n_clips=1, n_samples=round(SECONDS * SAMPLE_RATE_HZ))
    times_ms = []
    with progress("time of the program", N_WARM_UPS + N_RUNS) as advance:
        for _ in range(N_WARM_UPS + N_RUNS):
            start_s = time.perf_counter()
            session.run(audio)
            times_ms.append(1e3 * (time.perf_counter() - start_s))
            advance()
    return MeasuredTime.of(times_ms[N_WARM_UPS:])


def chosen_within(
    table: Candidates, budget: Budget, build_choice: Callable[[Choice], Built]
) -> tuple[Choice, Built]:
    """The best choice whose program is within the budget when it is measured.

    Times of groups are those of uniform plans, and conversions between precisions differ from
    these.  So a choice is built, and where its cost is not the estimated one, the next is found
    with a budget that is corrected by their ratio.  Raises ConfigError, with the measured cost, if
    even the cheapest choice is above the budget.
    """
    tried: dict[Choice, Built] = {}
    corrected = budget
    for _ in range(MAX_ROUNDS):
        choice = best_choice(table, corrected)
        if choice is None or choice in tried:
            break
        built = tried[choice] = build_choice(choice)
        for unit in UNITS:
            limit = budget.of(unit)
            if limit is not None:
                ratio = built.cost(unit) / table.total(unit, choice)
                corrected = replace(corrected, **{unit: limit / ratio})
    cheapest = _cheapest(table, budget)
    if cheapest not in tried and not any(built.is_within(budget) for built in tried.values()):
        tried[cheapest] = build_choice(cheapest)
    within = {choice: built for choice, built in tried.items() if built.is_within(budget)}
    if not within:
        found = ", ".join(
            f"{tried[cheapest].cost(unit):.3g} {unit.upper() if unit == 'mb' else unit}"
            for unit in UNITS
            if budget.of(unit) is not None
        )
        raise ConfigError(f"the cheapest plan has {found} when measured; give a greater budget")
    return min(within.items(), key=lambda item: item[1].penalty)


def _cheapest(table: Candidates, budget: Budget) -> Choice:
    unit: Unit = "ms" if budget.ms is not None else "mb"
    return tuple(int(i) for i in table.cost(unit).argmin(axis=1))
