"""Checks that an output folder belongs to this run, and describes differences.

Differences are reported as command-line options.  No message advises to delete a folder, because
it may hold the only copy of a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from earbit.audio.quarantine import QUARANTINE_NAME
from earbit.errors import ConfigError, shown
from earbit.files import make_folder, refuse_other_files, write_json
from earbit.progress import say

CONFIG_NAME = "config.json"
"""Configuration of a run. Its `type` names the command."""
COMMANDS = {
    "recipe": "a pre-training",
    "quantize": "a run of `earbit quantize`",
    "superb": "a run of `earbit superb`",
    "finetune": "a fine-tuning",
}
"""Description of a folder by that `type`."""
LEFT_BEFORE = {QUARANTINE_NAME, "units"}
"""Files that a run may write before its configuration."""
OPTIONS = {
    "config.plans": "--plan",
    "plan": "--plan",
    "superb.plan": "--plan",
    "superb.upstream": "--upstream",
    "config.optimiser.n_steps": "--n-steps",
    "config.batch_size": "--batch-size",
    "config.resplit": "--resplit",
    "superb.seed": "--seed",
    "superb.resplit": "--resplit",
    "superb.protocol": "--protocol",
    "superb.n_steps": "--n-steps",
    "superb.batch_size": "--batch-size",
    "superb.lrs": "--lrs",
    "superb.tasks": "--task",
    "superb.cache": "--cache",
    "config.stage_steps": "--n-steps",
    "config.train.optimiser.n_steps": "--n-steps",
    "config.train.seed": "--seed",
}
"""Parts of a run's description that a command-line option sets; the first non-empty one counts."""
DERIVED = {
    "config.train.optimiser.warmup_steps": "config.train.optimiser.n_steps",
    "config.optimiser.warmup_steps": "config.optimiser.n_steps",
    "recipe.model.n_units": "recipe.n_units",
}
"""Parts that follow from another part, and are not reported beside it."""
RULES = "rules"
"""Pairs of a selector and a precision; earlier descriptions have a mapping."""
CONSEQUENCES = {
    "teacher": "another model to start from",
    "model": "another model",
    "corpus": "another corpus",
    "kmeans": "other units",
    "labels": "other labels",
    RULES: "other rules in the plan",
    "distilled_from": "another teacher",
    "unlabelled": "other audio without labels",
}
"""Derived parts of a description, in the order in which they are reported."""
NOT_COMPARED = {
    "device",
    "accumulation",
    "checkpoint_every_steps",
    "keep_checkpoints",
    "log_every_steps",
    "machine",
    "max_skipped_steps",
    "tensorboard",
    "validate_every_steps",
}
"""Settings that do not determine the result; of accumulation x ranks a run keeps the product."""
PLACES = {"recipe.corpus", "recipe.units"}
"""Paths that a run may change for others; the digest of their content is compared."""
N_NAMED = 3
"""Maximum number of differences that an error names."""


def check_kind(folder: Path, kind: str) -> None:
    """Raises ConfigError if a folder belongs to a run of another command than `kind`."""
    held = _kind_of(folder)
    if held is not None and held != kind:
        what = COMMANDS.get(held, f"a configuration of type {held!r}")
        raise ConfigError(f"{folder}: holds {what}; give another --out")


def check_is_ours(folder: Path, kind: str) -> None:
    """Raises ConfigError if a folder has files that no run of `kind` has written."""
    check_kind(folder, kind)
    if _kind_of(folder) != kind:
        refuse_other_files(folder, LEFT_BEFORE)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Differences between the descriptions of two runs, or None.

    Options come before derived values, and shorter names before longer ones.  Only the cause is
    reported where one difference follows from another: `DERIVED`, or fields of another `type`.
    """
    old, new = _flat(before), _flat(now)
    old[RULES], new[RULES] = _alike(old.get(RULES), new.get(RULES))
    changed = sorted(
        (name for name in {*old, *new} if _differs(name, old.get(name), new.get(name))),
        key=lambda name: (name.count("."), name),
    )
    chosen: dict[str, tuple[str, ...]] = {}
    for name in changed:
        if name not in CONSEQUENCES and name != "stage" and not _follows(name, changed):
            option = OPTIONS.get(name)
            names = tuple(key for key, value in OPTIONS.items() if value == option)
            chosen.setdefault(option or _setting(name), names or (name,))
    if chosen:
        named = list(chosen.items())[:N_NAMED]
        there, here = (
            " ".join(_typed(option, _first(flat, names)) for option, names in named)
            for flat in (old, new)
        )
        more = f" and {len(chosen) - N_NAMED} more differences" if len(chosen) > N_NAMED else ""
        return f"a run with {there}, here {here}{more}"
    followed = [name for name in CONSEQUENCES if name in changed]
    if followed:
        where = _first_other_rule(old, new) if followed[0] == RULES else ""
        return f"a run with {CONSEQUENCES[followed[0]]}{where}"
    return "another run" if changed else None


def _differs(name: str, before: Any, now: Any) -> bool:
    is_moved = name in PLACES and None not in (before, now)
    return bool(before != now) and not is_moved


def _follows(name: str, changed: list[str]) -> bool:
    """Whether another difference is the cause of this one."""
    parents = [name[:i] for i, letter in enumerate(name) if letter == "."]
    kinds = [f"{parent}.type" for parent in parents]
    return DERIVED.get(name) in changed or any(kind in changed and kind != name for kind in kinds)


def _alike(before: Any, now: Any) -> tuple[Any, Any]:
    """Rules of two descriptions in one form, if the first has a mapping of an earlier version."""
    if not isinstance(before, dict):
        return before, now
    # Such a mapping has the order of the rules, and one entry for equal selectors.
    merged = dict(now) if isinstance(now, list) else now
    return list(before.items()), list(merged.items()) if isinstance(merged, dict) else merged


def _first_other_rule(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The first difference between two lists of rules, in brackets; empty without lists."""
    if not isinstance(old[RULES], list) or not isinstance(new[RULES], list):
        return ""
    for i, (there, here) in enumerate(zip_longest(old[RULES], new[RULES]), start=1):
        if there != here:
            texts = ("none" if rule is None else shown(": ".join(rule)) for rule in (there, here))
            return " (rule {} is {}, here {})".format(i, *texts)
    return ""


def _first(flat: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first value that is given and not an empty list; else None."""
    return next((flat[name] for name in names if flat.get(name) not in (None, [])), None)


def claim(folder: Path, kind: str, run: Mapping[str, Any], results: Sequence[str]) -> None:
    """Writes the description of a run to a folder, or checks that the same run has written it.

    results: patterns of files; another run that has left none of these is replaced.  Raises
    ConfigError for a folder of another run with results, or with other files.
    """
    check_is_ours(folder, kind)
    described = json.loads(json.dumps({"type": kind, **run}))
    held = held_by(folder)
    differ = None if held is None else differences(held, described)
    if differ and has_any(folder, results):
        raise ConfigError(f"{folder}: holds {differ}; give another --out")
    if differ:
        say(f"{folder}: held {differ}, which left no result; this run replaces it")
    if differ or held is None:
        make_folder(folder)
        write_json(folder / CONFIG_NAME, described)


def has_any(folder: Path, patterns: Sequence[str]) -> bool:
    """Whether a folder has a file of one of the patterns."""
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)


def held_by(folder: Path) -> dict[str, Any] | None:
    """The description that a run has written to a folder; None without a readable one."""
    try:
        held = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) and "type" in held else None


def _kind_of(folder: Path) -> str | None:
    """The command that wrote a folder, by the `type` of its configuration."""
    held = held_by(folder)
    return None if held is None else str(held["type"])


def _setting(name: str) -> str:
    """Name of a setting in `--set`, from `config.a.b`."""
    return name.removeprefix("config.").removeprefix("recipe.")


def _typed(option: str, value: Any) -> str:
    """An option or a setting as it is written on the command line."""
    if not option.startswith("--"):
        return f"{option}={value if isinstance(value, str) else json.dumps(value)}"
    if isinstance(value, bool):
        return option if value else f"no {option}"
    if value is None:
        return f"the default {option}"
    return f"{option} {' '.join(map(str, value)) if isinstance(value, list) else value}"


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Flattens nested mappings: `{"a": {"b": 1}}` to `{"a.b": 1}`."""
    if not isinstance(value, dict) or name in (RULES, "corpus"):
        return {name: value}
    return {
        path: item
        for key, child in value.items()
        if key not in NOT_COMPARED
        for path, item in _flat(child, f"{name}.{key}" if name else key).items()
    }
