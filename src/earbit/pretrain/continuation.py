"""When a run may go on with another number of steps: if the updates that it has done stay the same.

The number of steps changes the learning rates.  A run continues exactly if the new schedule has the
rates of the old one in all completed steps: while it warms up or is constant (`decay_steps`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from earbit.errors import ConfigError
from earbit.pretrain.optimiser import OptimiserConfig, lr_at

SCHEDULE = ("peak_lr", "n_steps", "warmup_steps", "decay_steps")
Schedule = Mapping[str, Any]


def continued(before: Mapping[str, Any], now: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Description `before` of a run after `step` updates, with the schedule of `now` if it fits."""
    result: dict[str, Any] = copy.deepcopy(dict(before))
    for old, new in _schedules(result, now):
        if first_other_rate(old, new, step) is None:
            old.update({name: new[name] for name in SCHEDULE if name in new})
    return result


def why_not_continued(before: Mapping[str, Any], now: Mapping[str, Any], step: int) -> str:
    """What forbids another schedule after `step` updates, and the remedy; empty if nothing does."""
    for old, new in _schedules(before, now):
        if all(old.get(name) == new.get(name) for name in SCHEDULE):
            continue
        if step > new["n_steps"]:
            return f"{step} steps are done already"
        other = first_other_rate(old, new, step)
        if other is not None:
            there, here = (lr_at(other, _config(schedule)) for schedule in (old, new))
            return (
                f"{step} steps are done, and step {other} had the learning rate {there:.4g}, here "
                f"{here:.4g}; more steps can follow only while the rate warms up or is constant, "
                "as with train.optimiser.decay_steps=0 and the same warmup_steps"
            )
    return ""


def first_other_rate(old: Schedule, new: Schedule, step: int) -> int | None:
    """The first of `step` updates whose rate differs under two schedules, or None.

    Returns `step` if the new schedule has fewer steps than that.
    """
    if step > new["n_steps"]:
        return step
    before, now = _config(old), _config(new)
    return next((i for i in range(1, step + 1) if lr_at(i, before) != lr_at(i, now)), None)


def _schedules(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Schedule]]:
    """Pairs of the schedules at the same place of two descriptions of JSON values."""
    for key, value in before.items():
        other = now.get(key)
        if isinstance(value, dict) and isinstance(other, Mapping):
            if _is_schedule(value) and _is_schedule(other):
                yield value, other
            else:
                yield from _schedules(value, other)


def _is_schedule(value: Mapping[str, Any]) -> bool:
    """Whether it has the fields of a schedule and makes one."""
    if not {"peak_lr", "n_steps", "warmup_steps"} <= value.keys():
        return False
    try:
        _config(value)
    except (ConfigError, TypeError):
        return False
    return True


def _config(schedule: Schedule) -> OptimiserConfig:
    names = {field.name for field in fields(OptimiserConfig)}
    return OptimiserConfig(**{k: v for k, v in schedule.items() if k in names})
