"""Scores that a folder holds.  A score is written last, so a task with scores.json is complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import earbit
from earbit.files import make_folder, write_json
from earbit.progress import say
from earbit.run_folder import CONFIG_NAME, claim, has_any, held_by
from earbit.superb.head_file import HEAD_NAME
from earbit.superb.task import SCORES_NAME

RESULTS = ("**/sweep/*", f"**/{SCORES_NAME}")
"""Trained heads, also unfinished ones, and scores; a folder without any is free for another run."""
OF_TASK = (HEAD_NAME, "sweep", "folds", SCORES_NAME)
"""Files of a task.  The score is moved last, so an interrupted move is repeated."""


def claim_tasks(folder: Path, run: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Claims a folder for a run, whose tasks are added to those of an earlier one.

    run: description, with a mapping `corpus` from task to digest.  With a second task, the files of
    the first one move from the folder to a folder of its name.  Returns the earlier tasks, if any
    of them has a result, and whether the folder is of one task.  Raises ConfigError where another
    run of these tasks, or with other settings, has a result there.
    """
    asked: dict[str, str] = dict(run["corpus"])
    held = held_by(folder) if has_any(folder, RESULTS) else None
    corpus = (held or {}).get("corpus")
    before: dict[str, str] = dict(corpus) if isinstance(corpus, dict) else {}

    def described(corpus: Mapping[str, str]) -> dict[str, Any]:
        return {**run, "superb": {**run["superb"], "tasks": [*corpus]}, "corpus": corpus}

    common = {task: asked.get(task, digest) for task, digest in before.items()}
    claim(folder, "superb", described(common or asked), RESULTS)
    tasks = before | asked
    if len(before) == 1 < len(tasks):
        into = make_folder(folder / next(iter(before)))
        say(f"{folder}: with a second task, the head and score of the first one move to {into}")
        for name in OF_TASK:
            if (folder / name).exists():
                (folder / name).replace(into / name)
    if before and before.keys() != tasks.keys():
        write_json(folder / CONFIG_NAME, {"type": "superb", **described(tasks)})
    return [*before], len(tasks) == 1


def finished_score(
    folder: Path, others: Sequence[Path], is_same: Callable[[Mapping[str, Any]], bool]
) -> dict[str, Any] | None:
    """The score in a folder, announced, if this version of earbit has written it; else None.

    others: further files of the run that must exist.  is_same: whether a score is that of the
    command, as far as config.json does not record it.
    """
    path = folder / SCORES_NAME
    if not all(file.is_file() for file in (path, *others)):
        return None
    try:
        score: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if score["earbit"] != earbit.__version__ or not is_same(score):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged files are written again
    say(f"{path}: this run is finished; give another --out to score again")
    return score
