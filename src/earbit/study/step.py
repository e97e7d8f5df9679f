"""A step of a study: what it computes, what it needs, and the key of its result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import earbit
from earbit.files import write_json

RESULT_NAME = "step.json"
"""The result of a step in its folder, written last."""
ERROR_NAME = "error.txt"
"""The traceback of a step that failed by a bug."""
LOG_NAME = "output.txt"
"""What a step has printed."""
SHARED = "shared"
"""Folder of steps of no encoder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A node of the graph of a study."""

    stage: str
    """A row of `earbit.study.stages.table.STAGES`."""
    encoder: str | None = None
    plan: str | None = None
    seed: int | None = None
    task: str | None = None
    needs: Mapping[str, str] = field(default_factory=dict)
    """Steps that must be done before, by the role that they have in this one."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that determine the result, beside those of the steps that it needs."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that do not: paths, threads."""
    parts: tuple[str, ...] = ()
    """What a complete result holds: a later study may ask for more of the same step."""
    is_alone: bool = False
    """Whether no other step may run meanwhile, because times are measured."""
    estimate_s: float = 1.0
    """Estimated time on one of the jobs."""
    estimate_bytes: float = 0.0
    """Estimated size of its folder."""

    @property
    def id(self) -> str:
        """Name in the graph: `quantize hubert-tiny w1a1 seed 0`."""
        seed = None if self.seed is None else f"seed {self.seed}"
        parts = (self.stage, self.encoder, self.plan, seed, self.task)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the result of a step is, and the key that it must have."""

    folder: Path
    key: str


def in_order(steps: Iterable[Step]) -> list[Step]:
    """The steps, each after those that it needs."""
    by_id = {step.id: step for step in steps}
    sorter = TopologicalSorter({i: step.needs.values() for i, step in by_id.items()})
    return [by_id[i] for i in sorter.static_order()]


def places_of(steps: Iterable[Step], out_dir: Path) -> dict[str, Place]:
    """The place of every step by its id.

    The key is a digest of the settings of a step and of the keys of the steps that it needs, so a
    change moves this step and those that follow from it to other folders, and no others.  Raises
    ValueError for two steps with one folder, which would overwrite each other's results.
    """
    places: dict[str, Place] = {}
    taken: dict[Path, str] = {}
    for step in in_order(steps):
        about = {
            "earbit": earbit.__version__,
            "step": [step.stage, step.encoder, step.plan, step.seed],
            "settings": step.settings,
            "needs": {role: places[i].key for role, i in sorted(step.needs.items())},
        }
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        seed = None if step.seed is None else f"seed{step.seed}"
        names = [step.encoder or SHARED, *filter(None, (step.plan, seed))]
        folder = out_dir.joinpath(*map(_file_name, names)) / f"{step.stage}-{key[:10]}"
        if (other := taken.setdefault(folder, step.id)) != step.id:
            raise ValueError(
                f"steps {other!r} and {step.id!r} have one folder, {folder}; each needs its own: "
                "give them different settings, or make them one step"
            )
        places[step.id] = Place(folder, key)
    return places


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text)


def read_result(step: Step, place: Place) -> dict[str, Any] | None:
    """The record of a finished step: `result`, `wall_s`; None if it must run."""
    try:
        record = json.loads((place.folder / RESULT_NAME).read_text(encoding="utf-8"))
        if record["key"] != place.key or not isinstance(record["result"], dict):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged files are written again
    complete = set(step.parts) <= set(record.get("parts", ()))
    return record if complete else None


def write_result(step: Step, place: Place, result: Mapping[str, Any], wall_s: float) -> None:
    """Writes the record of a step; a result without one did not happen."""
    record = {
        "step": step.id,
        "key": place.key,
        "parts": list(step.parts),
        "wall_s": round(wall_s, 2),
        "result": result,
    }
    write_json(place.folder / RESULT_NAME, record)
