"""A plan as a real program: its measured time, size and penalty, and the choice of one."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.measure import MeasuredTime
from earbit.bench.turns import N_WARM_UPS
from earbit.choose.judges import Judge
from earbit.choose.solve import NAMES, UNITS, Budget, Candidates, Unit, best_choice
from earbit.choose.times import MB, SECONDS
from earbit.errors import ConfigError
from earbit.export.lower import lower_model
from earbit.export.program import write_program
from earbit.export.verb import MAX_SAMPLES, export_to
from earbit.model import AudioModel
from earbit.progress import progress
from earbit.quantize.calibrate import WITHOUT_TRAINING
from earbit.quantize.plan import Plan
from earbit.quantize.student import noise_clips, student_of
from earbit.runtime.session import Session

N_RUNS = 15
MAX_ROUNDS = 6
"""Plans that are built at most."""
NEARLY_ALL = 0.95
"""Share of the budget from which a plan is not improved."""

Choice = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """Figures of the program of a calibrated plan."""

    time: MeasuredTime
    """CPU time of SECONDS of audio on one thread, at the speed of the measured candidates."""
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


@dataclass(frozen=True, slots=True)
class Reference:
    """The program of the float model, and the time that it had among the candidates.

    Programs are timed in turns with it, and their times are relative to it, because the speed of a
    machine with other work changes from minute to minute.
    """

    session: Session
    ms: float


@contextmanager
def reference_of(teacher: AudioModel, ms: float) -> Iterator[Reference]:
    """Packs the float model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.safetensors"
        write_program(lower_model(teacher), path, {})
        yield Reference(Session(path, threads=1), ms)


def build(
    teacher: AudioModel,
    plan: Plan,
    clips: Sequence[np.ndarray],
    judge: Judge,
    reference: Reference,
    seed: int,
) -> Built:
    """Calibrates a model under a plan, packs it and measures it."""
    student = student_of(teacher, plan, list(clips), WITHOUT_TRAINING).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.safetensors"
        found = export_to(student, path, name=plan.name, waveform=clips[0][:MAX_SAMPLES])
        measured = timed(Session(path, threads=1), reference, seed)
    return Built(measured, found["bytes"] / MB, judge(student), found["agreement"])


def timed(program: Session, reference: Reference, seed: int) -> MeasuredTime:
    """CPU time of a program for SECONDS of noise on one thread, relative to a reference.

    On a machine without other work, it is the time that `earbit bench` measures.
    """
    (audio,) = noise_clips(seed, n_clips=1, n_samples=round(SECONDS * SAMPLE_RATE_HZ))
    ours, theirs = [], []
    with progress("time of the program", N_WARM_UPS + N_RUNS) as advance:
        for i in range(N_WARM_UPS + N_RUNS):
            both = [_cpu_ms(session, audio) for session in (program, reference.session)]
            if i >= N_WARM_UPS:
                ours.append(both[0])
                theirs.append(both[1])
            advance()
    speed = reference.ms / float(np.median(theirs))
    return MeasuredTime.of([speed * its for its in ours])


def _cpu_ms(session: Session, audio: np.ndarray) -> float:
    start_s = time.thread_time()
    session.run(audio)
    return 1e3 * (time.thread_time() - start_s)


def chosen_within(
    table: Candidates, budget: Budget, build_choice: Callable[[Choice], Built]
) -> tuple[Choice, Built]:
    """The choice with the least measured penalty of those that are built and within the budget.

    Times of groups are those of uniform plans, and conversions between precisions differ from
    these.  So the budget of the integer program is changed by the ratio of measured and estimated
    cost, or by bisection, until a built plan uses nearly all of the budget.  Raises ConfigError,
    with the measured cost, if even the cheapest choice is above the budget.
    """
    limits = [(unit, limit) for unit in UNITS if (limit := budget.of(unit)) is not None]
    tried: dict[Choice, Built] = {}
    factor, within, above = 1.0, 0.0, math.inf
    for _ in range(MAX_ROUNDS):
        choice = best_choice(table, budget.times(factor))
        if choice is None:
            break
        if choice not in tried:
            tried[choice] = build_choice(choice)
        used = max(tried[choice].cost(unit) / limit for unit, limit in limits)
        if NEARLY_ALL <= used <= 1:
            break
        if used <= 1:
            within, factor = factor, factor / used
        else:
            # From its own estimated cost on, the integer program may take this choice again.
            above = max(table.total(unit, choice) / limit for unit, limit in limits)
            factor = min(factor / used, above * (1 - 1e-6))
        if not within < factor < above:
            if not within or above == math.inf:
                break
            factor = math.sqrt(within * above)
    cheapest = _cheapest(table, budget)
    if cheapest not in tried and not any(built.is_within(budget) for built in tried.values()):
        tried[cheapest] = build_choice(cheapest)
    kept = {choice: built for choice, built in tried.items() if built.is_within(budget)}
    if not kept:
        found = " and ".join(
            f"{tried[cheapest].cost(unit):.3g} {NAMES[unit]}" for unit, _ in limits
        )
        raise ConfigError(f"the cheapest plan has {found} when measured; give a greater budget")
    return min(kept.items(), key=lambda item: item[1].penalty)


def _cheapest(table: Candidates, budget: Budget) -> Choice:
    unit: Unit = "ms" if budget.ms is not None else "mb"
    return tuple(int(i) for i in table.cost(unit).argmin(axis=1))
