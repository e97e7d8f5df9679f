"""`earbit bench`: measured time and memory of programs, side by side with other engines.

The output of every engine is compared with PyTorch's before timing.  Engines then alternate, A B A
B, so that drifts of the machine's speed affect them equally.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.child import Child, started
from earbit.bench.engine import OURS
from earbit.bench.measure import MeasuredTime
from earbit.bench.peers.catalogue import PEERS, REFERENCE
from earbit.bench.peers.input_files import input_files
from earbit.bench.points import Point, check_runs
from earbit.bench.turns import take_turns
from earbit.errors import ConfigError, FormatError, UnsupportedError
from earbit.frames import n_frames_of
from earbit.nn.precision import FLOAT
from earbit.runtime.program_file import read_program

MIN_COSINE = 0.9999
"""Minimum cosine of float32 outputs and PyTorch's; for other precisions it is only reported."""


@dataclass(frozen=True, slots=True)
class _Entrant:
    """An exported program or another engine, and its reference output."""

    engine: str
    plan: str | None
    precision: str
    file: Path
    is_comparable: bool
    """Whether it has the weights of the reference."""

    @property
    def name(self) -> str:
        return self.engine if self.plan is None else f"{self.engine} {self.plan}"

    @property
    def is_exact(self) -> bool:
        return self.is_comparable and self.precision in ("fp32", str(FLOAT))


def bench(
    programs: Mapping[str, Path],
    *,
    seconds: float,
    threads: int,
    engines: Sequence[str],
    model: Path | None = None,
    folder: Path | None = None,
    n_runs: int | None = None,
) -> list[dict[str, Any]]:
    """Times programs of one model, and other engines that run this model, on one clip.

    programs: files by plan, with an empty name for an unknown plan;  seconds: length of the audio;
    engines: names of installed peers (`peers_named`);  model: file of the source model in float, or
    None.  With None, engines run a model of the same shape with random weights, and outputs of
    programs are not compared;  folder: cache of the engines' input files for this model; None is a
    temporary folder;  n_runs: number of timed runs; None is 15, or fewer for long audio
    (`take_turns`).

    Returns a record for every program, then one for every engine.  Raises ConfigError for an
    invalid length, engine, number of threads or of runs, FormatError for a program with a missing
    or wrong shape or output that is not finite, and UnsupportedError for a failing engine and for a
    float32 engine or program whose output differs from PyTorch's.
    """
    point = Point(seconds, threads)
    check_runs(n_runs)
    for name in engines:
        if name not in PEERS:
            raise ConfigError(f"no engine {name!r} to measure beside; allowed: {', '.join(PEERS)}")
    config, precisions = _config_and_precisions(programs)
    shape = [n_frames_of(int(seconds * SAMPLE_RATE_HZ)), config["encoder"]["d_model"]]
    with tempfile.TemporaryDirectory() as outputs, contextlib.ExitStack() as stack:
        folder = folder or Path(outputs)
        files = input_files(config, engines, model, folder, seconds)
        entrants = [
            _Entrant(OURS, plan or None, precisions[plan], path, model is not None)
            for plan, path in programs.items()
        ]
        entrants += [
            _Entrant(name, None, PEERS[name].precision, files[PEERS[name].reads], True)
            for name in dict.fromkeys(engines)
        ]
        reference = _reference(entrants, files.get("model"), folder, shape, seconds)
        children, agreements = [], []
        for i, entrant in enumerate(entrants):
            output = Path(outputs) / f"{i}.npy"
            child = stack.enter_context(
                started(
                    entrant.engine,
                    entrant.file,
                    output,
                    seconds=seconds,
                    threads=threads,
                    name=entrant.name,
                )
            )
            _check_ready(child, shape)
            agreements.append(_agreement(entrant, output, reference))
            children.append(child)
        turns = take_turns(children, n_runs, f"timing {point}")
    return [
        {
            "engine": entrant.engine,
            "plan": entrant.plan,
            "precision": entrant.precision,
            "seconds": seconds,
            "threads": threads,
            **_summary([turn[i] for turn in turns], seconds),
            **agreements[i],
        }
        for i, entrant in enumerate(entrants)
    ]


def _reference(
    entrants: Sequence[_Entrant],
    model: Path | None,
    folder: Path,
    shape: list[int],
    seconds: float,
) -> np.ndarray | None:
    """Output of PyTorch in float32, (frames, width); None if no output is compared."""
    if model is None or not any(entrant.is_comparable for entrant in entrants):
        return None
    output = folder / f"{seconds:g}-s.npy"
    if not output.exists():
        # Renamed only when it is complete, because the next call reads it.
        unfinished = output.with_suffix(".unfinished.npy")
        with started(REFERENCE, model, unfinished, seconds=seconds, threads=1) as child:
            _check_ready(child, shape)
        unfinished.replace(output)
    return _read(output)


def _check_ready(child: Child, shape: list[int]) -> None:
    expected = {"shape": shape, "is_finite": True}
    ready = child.answer()
    if ready != expected:
        raise FormatError(
            f"engine {child.name} gives {ready}, expected {expected}; export the program again, "
            "or leave the engine out"
        )


def _agreement(
    entrant: _Entrant, output: Path, reference: np.ndarray | None
) -> dict[str, float | None]:
    """Compares an output with PyTorch's; raises UnsupportedError for an unexpected difference."""
    if reference is None or not entrant.is_comparable:
        return {"cosine": None, "max_abs_error": None}
    found = _read(output)
    norms = np.linalg.norm(found) * np.linalg.norm(reference)
    cosine = float((found * reference).sum() / norms) if norms else 0.0
    error = float(np.abs(found - reference).max())
    if entrant.is_exact and not cosine >= MIN_COSINE:
        raise UnsupportedError(
            f"engine {entrant.name} gives another output than PyTorch in float32: cosine "
            f"{cosine:.6f}, allowed: {MIN_COSINE} or more; leave this engine out"
        )
    return {"cosine": cosine, "max_abs_error": error}


def _read(output: Path) -> np.ndarray:
    # float64, because a sum of a million products loses digits in float32.
    array: np.ndarray = np.load(output).astype(np.float64)
    return array


def _summary(runs: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    time_of_run = MeasuredTime.of([run["ms"] for run in runs])
    return {
        **asdict(time_of_run),
        "n_runs": len(runs),
        "rtf": time_of_run.median_ms / 1e3 / seconds,
        "peak_rss_bytes": max(run["peak_rss_bytes"] for run in runs),
    }


def _config_and_precisions(
    programs: Mapping[str, Path],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Configuration of the source model, and precisions of its leaves by plan."""
    if not programs:
        raise ConfigError("no program to measure; give one file, or a preset and its plans")
    configs, precisions = dict(_origins(programs)), {}
    for plan, (config, names) in configs.items():
        precisions[plan] = names
        if config != configs[next(iter(configs))][0]:
            raise ConfigError(
                f"{programs[plan]}: made from another model than the first program; "
                "give programs of one model"
            )
    return config, precisions


def _origins(programs: Mapping[str, Path]) -> Iterator[tuple[str, tuple[dict[str, Any], str]]]:
    for plan, program in programs.items():
        origin = read_program(program).origin
        try:
            int(origin["config"]["encoder"]["d_model"])
            yield plan, (dict(origin["config"]), "+".join(origin["precisions"]))
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(
                f"{program}: its origin is missing or invalid ({error!r}); export it again"
            ) from error
