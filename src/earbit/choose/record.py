"""File of measurements, from which an interrupted run and runs with other budgets go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from earbit.choose.groups import LeafGroup
from earbit.choose.sensitivity import Penalties
from earbit.choose.times import Costs
from earbit.errors import DataError
from earbit.files import make_folder, write_json
from earbit.nn.precision import Precision


@dataclass(slots=True)
class Record:
    """Measurements of one model on one corpus."""

    path: Path | None
    """None keeps nothing on disk."""
    key: dict[str, Any]
    """What the penalties depend on."""
    penalties: Penalties = field(default_factory=dict)
    costs: dict[str, Any] | None = None
    """Costs with the machine and the precisions that they were measured with."""

    def save(self) -> None:
        """Writes the file."""
        if self.path is not None:
            content = {"key": self.key, "penalties": self.penalties, "costs": self.costs}
            write_json(self.path, _finite(content))

    def costs_on(
        self, machine: Mapping[str, Any], groups: Sequence[LeafGroup], columns: Sequence[Precision]
    ) -> Costs | None:
        """The costs of an earlier run on the same machine with the same candidates."""
        its = self.costs
        if its is None or its["of"] != _of(machine, groups, columns):
            return None
        ms, mb = (_array(its[unit]) for unit in ("ms", "mb"))
        return Costs(ms, mb, its["rest_ms"], its["rest_mb"])

    def keep_costs(
        self,
        costs: Costs,
        machine: Mapping[str, Any],
        groups: Sequence[LeafGroup],
        columns: Sequence[Precision],
    ) -> None:
        """Saves costs."""
        its = asdict(costs) | {"ms": costs.ms.tolist(), "mb": costs.mb.tolist()}
        self.costs = {"of": _of(machine, groups, columns), **its}
        self.save()


def record_of(folder: Path | None, key: dict[str, Any]) -> Record:
    """The record of a key in a folder, with what earlier runs measured.

    Raises DataError for a damaged file.
    """
    if folder is None:
        return Record(None, key)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    path = make_folder(folder) / f"measurements-{digest}.json"
    if not path.is_file():
        return Record(path, key)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        record = Record(path, key, content["penalties"], content["costs"])
        is_same = content["key"] == key
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); remove it to measure again") from error
    if not is_same:
        raise DataError(f"{path}: of another model or corpus; remove it to measure again")
    return record


def _of(
    machine: Mapping[str, Any], groups: Sequence[LeafGroup], columns: Sequence[Precision]
) -> dict[str, Any]:
    return {
        "cpu": machine["cpu"],
        "isa": machine["isa"],
        "groups": list(map(str, groups)),
        "precisions": list(map(str, columns)),
    }


def _finite(value: Any) -> Any:
    """JSON values with null for infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if value == np.inf else value


def _array(rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    return np.array([[np.inf if x is None else x for x in row] for row in rows], np.float64)
