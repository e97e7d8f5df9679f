"""Measured time and storage of every group in every precision, from programs of uniform plans."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.turns import N_WARM_UPS
from earbit.choose.groups import LeafGroup, owners_of, plan_of
from earbit.errors import UnsupportedError
from earbit.export.lower import lower_model
from earbit.export.program import Program, write_program
from earbit.model import AudioModel
from earbit.nn.precision import FLOAT, Precision
from earbit.progress import progress
from earbit.quantize.calibrate import CalibrationConfig
from earbit.quantize.student import noise_clips, student_of
from earbit.runtime.session import Session

SECONDS = 10.0
"""Length of the timed audio."""
N_TURNS, MIN_TURNS = 30, 5
BUDGET_S = 60.0
"""Time in s after which no turn beyond MIN_TURNS begins."""
MB = 1e6


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of groups (rows) in precisions (columns), float first; inf where there is no program.

    Times in ms are those of SECONDS of audio on one thread: the least time of each op over all
    turns, as other processes only add time, scaled so that their sum is the median CPU time of the
    program.  Storage is that of packed tensors in MB.
    """

    ms: NDArray[np.float64]
    mb: NDArray[np.float64]
    rest_ms: float
    """Mean over all programs of the ops outside of groups."""
    rest_mb: float
    """The same for storage, with the header of the file."""


def measure_costs(
    teacher: AudioModel, groups: Sequence[LeafGroup], precisions: Sequence[Precision], seed: int
) -> Costs:
    """Packs the model with all groups in each of the precisions, and profiles the ops in turns.

    precisions: float first.  Groups that have no program in a precision are in float in its
    program, and their cost is infinite.
    """
    columns = [_packed(teacher, groups, precision, seed) for precision in precisions]
    mb = np.full((len(groups), len(precisions)), np.inf)
    ms = mb.copy()
    rest_ms, rest_mb = [], []
    owners = [owners_of(teacher, groups, packed.program.modules) for packed in columns]
    with tempfile.TemporaryDirectory() as folder:
        sessions, sizes_mb = [], []
        for i, packed in enumerate(columns):
            path = Path(folder) / f"{i}.safetensors"
            write_program(packed.program, path, {})
            sizes_mb.append(path.stat().st_size / MB)
            sessions.append(Session(path, threads=1))
        turns = _turns(sessions, seed)
    totals_ms = np.median([[one.cpu_ms for one in turn] for turn in turns], axis=0)
    for i, packed in enumerate(columns):
        of_op = np.min([turn[i].op_ms for turn in turns], axis=0)
        of_op *= totals_ms[i] / of_op.sum()
        size_of_op = [_bytes_of(packed.program, op) / MB for op in range(len(of_op))]
        sums_ms, other_ms = _by_owner(of_op, owners[i], len(groups))
        sums_mb, _ = _by_owner(np.array(size_of_op), owners[i], len(groups))
        is_packed = np.array([group in packed.groups for group in groups])
        ms[is_packed, i], mb[is_packed, i] = sums_ms[is_packed], sums_mb[is_packed]
        rest_ms.append(other_ms)
        rest_mb.append(sizes_mb[i] - sums_mb.sum())
    return Costs(ms, mb, float(np.mean(rest_ms)), float(np.mean(rest_mb)))


@dataclass(frozen=True, slots=True)
class _Packed:
    program: Program
    groups: Sequence[LeafGroup]
    """Groups that have the precision of the program."""


def _packed(
    teacher: AudioModel, groups: Sequence[LeafGroup], precision: Precision, seed: int
) -> _Packed:
    """The program with all groups in a precision, or all that have an op in it."""
    try:
        return _Packed(_lowered(teacher, groups, precision, seed), groups)
    except UnsupportedError:
        possible = [group for group in groups if _has_op(teacher, group, precision, seed)]
        return _Packed(_lowered(teacher, possible, precision, seed), possible)


def _has_op(teacher: AudioModel, group: LeafGroup, precision: Precision, seed: int) -> bool:
    try:
        _lowered(teacher, [group], precision, seed)
    except UnsupportedError:
        return False
    return True


def _lowered(
    teacher: AudioModel, groups: Sequence[LeafGroup], precision: Precision, seed: int
) -> Program:
    """Scales have no influence on time and storage, so noise calibrates them."""
    if precision == FLOAT:
        return lower_model(teacher)
    plan = plan_of(str(precision), dict.fromkeys(groups, precision))
    clips = noise_clips(seed, n_clips=1, n_samples=SAMPLE_RATE_HZ)
    return lower_model(student_of(teacher, plan, clips, CalibrationConfig()).eval())


class _Turn(NamedTuple):
    """Times of one run of a program in ms."""

    op_ms: list[float]
    """Wall time of every op."""
    cpu_ms: float
    """CPU time of the thread, without that of other processes."""


def _turns(sessions: Sequence[Session], seed: int) -> list[list[_Turn]]:
    """Times by turn and session; sessions take turns, so that drifts affect all."""
    (audio,) = noise_clips(seed, n_clips=1, n_samples=round(SECONDS * SAMPLE_RATE_HZ))
    turns: list[list[_Turn]] = []
    with progress("times of ops", N_TURNS + N_WARM_UPS) as advance:
        start_s = time.monotonic()
        for i in range(N_WARM_UPS + N_TURNS):
            if len(turns) >= MIN_TURNS and time.monotonic() - start_s > BUDGET_S:
                break
            turn = [_turn(session, audio) for session in sessions]
            if i >= N_WARM_UPS:
                turns.append(turn)
            advance()
    return turns


def _turn(session: Session, audio: NDArray[np.float32]) -> _Turn:
    start_s = time.thread_time()
    op_ms = [1e3 * op.seconds for op in session.profile(audio)]
    return _Turn(op_ms, 1e3 * (time.thread_time() - start_s))


def _bytes_of(program: Program, op: int) -> int:
    return sum(program.tensors[name].nbytes for name in program.ops[op]["tensors"].values())


def _by_owner(
    values: NDArray[np.float64], owners: Sequence[int | None], n_groups: int
) -> tuple[NDArray[np.float64], float]:
    """Sums of values of ops by group, and of ops without one."""
    sums = np.zeros(n_groups)
    rest = 0.0
    for value, owner in zip(values, owners, strict=True):
        if owner is None:
            rest += float(value)
        else:
            sums[owner] += value
    return sums, rest
