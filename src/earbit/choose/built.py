"""A plan as a real program: its measured time, size and penalty, and the choice of one."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.measure import MeasuredTime
from earbit.bench.turns import N_WARM_UPS
from earbit.choose.judges import Judge
from earbit.choose.solve import (
    NAMES,
    UNITS,
    Budget,
    Candidates,
    Unit,
    best_choice,
    fastest_within,
)
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
"""Plans that are built at most before the cheapest one."""
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
    """Returns the built choice within the budget that has the least measured penalty.

    Times of groups are those of uniform plans, and conversions between precisions differ from
    these.  So each limit of the integer program is changed by the ratio of measured and estimated
    cost, or by bisection, until a built plan uses nearly all of the budget.  Raises ConfigError,
    with the measured cost, if even the cheapest choice is above the budget.
    """
    limits = [(unit, limit) for unit in UNITS if (limit := budget.of(unit)) is not None]
    tried: dict[Choice, Built] = {}
    factors = {unit: _Factor() for unit, _ in limits}
    for _ in range(MAX_ROUNDS):
        before = _values(factors)
        choice = best_choice(table, budget.times(before))
        if choice is None:
            break
        if choice not in tried:
            tried[choice] = build_choice(choice)
        used = {unit: tried[choice].cost(unit) / limit for unit, limit in limits}
        most = max(used.values())
        if NEARLY_ALL <= most <= 1:
            break
        for unit, limit in limits:
            factor, estimate = factors[unit], table.total(unit, choice) / limit
            if used[unit] > 1:
                factor.tighten(used[unit], estimate)
            elif most <= 1:
                # A cost that leaves more of its limit than another may not be what is in the way.
                is_first = used[unit] == most
                factor.relax(factor.value / most if is_first else estimate / used[unit])
        if _values(factors) == before:
            break
    cheapest = _cheapest(table, budget.times(_values(factors)))
    if cheapest not in tried and not any(built.is_within(budget) for built in tried.values()):
        tried[cheapest] = build_choice(cheapest)
    kept = {choice: built for choice, built in tried.items() if built.is_within(budget)}
    if not kept:
        found = " and ".join(
            f"{tried[cheapest].cost(unit):.3g} {NAMES[unit]}" for unit, _ in limits
        )
        raise ConfigError(f"the cheapest plan has {found} when measured; give a greater budget")
    return min(kept.items(), key=lambda item: item[1].penalty)


@dataclass(slots=True)
class _Factor:
    """Factor of a limit of the integer program; plans within and above the limit bound it."""

    value: float = 1.0
    within: float = 0.0
    above: float = math.inf

    def tighten(self, used: float, estimate: float) -> None:
        """After a plan above the budget; used, estimate: shares of it, measured and estimated."""
        # From its own estimated cost on, the integer program may take this choice again.
        self.above = estimate
        if self.within >= estimate:  # another limit was tighter then
            self.within = 0.0
        self._set(min(self.value / used, estimate * (1 - 1e-6)))

    def relax(self, value: float) -> None:
        """After a plan that leaves a part of the budget."""
        if value > self.value:
            self.within = self.value
            self._set(value)

    def _set(self, value: float) -> None:
        if self.within < value < self.above:
            self.value = value
        elif self.within and self.above < math.inf:
            self.value = math.sqrt(self.within * self.above)


def _values(factors: Mapping[Unit, _Factor]) -> dict[Unit, float]:
    return {unit: factor.value for unit, factor in factors.items()}


def _cheapest(table: Candidates, budget: Budget) -> Choice:
    """The fastest choice within the storage, or the smallest where there is no other limit."""
    unit: Unit = "ms" if budget.ms is not None else "mb"
    if budget.ms is not None and budget.mb is not None:
        if (choice := fastest_within(table, budget.mb)) is not None:
            return choice
        unit = "mb"
    return tuple(int(i) for i in table.cost(unit).argmin(axis=1))
