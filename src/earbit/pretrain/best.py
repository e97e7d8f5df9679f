"""The checkpoint of the lowest validation loss, kept in `checkpoints/best/` beside the newest ones.

Its files are links to those of the checkpoint, or copies where the file system has no links.
best.json has its step and figures.  The checkpoint itself has the figures too, so a run that was
killed before the mark was complete marks it when it resumes.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earbit.distributed import first
from earbit.errors import DataError
from earbit.files import flush
from earbit.pretrain.checkpoint import figures_in, steps_done, unreadable

BEST = "best"
VALIDATED = "valid_loss"
"""Scalar of updates after which the model was validated."""


class Best:
    """Decides which checkpoint of a run is the best, and marks it.  All ranks call it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.least_loss: float = first(self._resume).get(VALIDATED, math.inf)

    def _resume(self) -> Mapping[str, float]:
        held, newest = best_figures(self.folder), figures_in(self.folder)
        step = steps_done(self.folder)
        if newest is not None and (held is None or held["step"] < step):
            keep_best(self.folder, step, newest)
            return newest
        return held or {}

    def figures_of(self, parts: Mapping[str, Any], *, is_last: bool) -> dict[str, float] | None:
        """Validation figures of an update if it is the best so far, else None.

        The last step is not marked if no other was validated.
        """
        if not parts.get(VALIDATED, math.inf) < self.least_loss:
            return None
        if is_last and math.isinf(self.least_loss):
            return None
        return {name: value for name, value in parts.items() if name.startswith("valid_")}

    def keep(self, step: int, figures: Mapping[str, float]) -> None:
        """Marks the checkpoint of `step`, which has been saved with `figures`."""
        self.least_loss = figures[VALIDATED]
        first(lambda: keep_best(self.folder, step, figures))


def keep_best(folder: Path, step: int, figures: Mapping[str, float]) -> None:
    """Keeps the checkpoint of `step` as `best`, with its figures.  On rank 0 alone.

    Raises DataError if there is no such checkpoint or it cannot be written.
    """
    source, final = folder / f"step-{step:08d}", folder / BEST
    temporary, old = folder / f".{BEST}.tmp", folder / f".{BEST}.old.tmp"
    try:
        if old.exists() and not final.exists():  # killed between two renames
            old.rename(final)
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir()
        for file in source.iterdir():
            try:
                os.link(file, temporary / file.name)
            except OSError:
                shutil.copyfile(file, temporary / file.name)
        text = json.dumps({"step": step, **figures}, indent=2)
        (temporary / "best.json").write_text(text + "\n", encoding="utf-8")
        for file in temporary.iterdir():
            flush(file)
        if final.exists():
            final.rename(old)
        temporary.rename(final)
        flush(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise DataError(
            f"{final}: cannot be written ({error.strerror}); free some space and start the same "
            "command again"
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def best_figures(folder: Path) -> dict[str, float] | None:
    """Step and figures of the checkpoint that `keep_best` has kept; None without one."""
    for name in (BEST, f".{BEST}.old.tmp"):  # the second between two renames
        try:
            text = (folder / name / "best.json").read_text(encoding="utf-8")
            return {str(key): float(value) for key, value in json.loads(text).items()}
        except FileNotFoundError:
            continue
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise unreadable(folder / name, error) from error
    return None
