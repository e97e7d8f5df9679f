"""Updates that are skipped because a loss or a gradient is not finite.

OUT/skipped.jsonl has a line per rank of a skipped step: step, rank, ids of the clips, and what was
not finite first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from earbit.distributed import first
from earbit.errors import DataError
from earbit.files import writable, write_text
from earbit.progress import say

SKIPPED_NAME = "skipped.jsonl"
N_NAMED = 5
REMEDY = "; lower peak_lr or look at these files"


@dataclass(frozen=True, slots=True)
class Fault:
    """What one rank knows of a step that is skipped."""

    step: int
    rank: int
    ids: tuple[str, ...]
    """Clips of the micro-batch, or of all micro-batches of the rank."""
    what: str
    """What was not finite first."""
    is_source: bool
    """Whether the fault is in this rank's own loss, or only in the sum of all gradients."""

    def __str__(self) -> str:
        ids = ", ".join(self.ids[:N_NAMED]) + ", ..." * (len(self.ids) > N_NAMED)
        return f"step {self.step}, batch {ids}: {self.what}"


class Skips:
    """Writes down skipped steps, and ends a run that skips too many in a row."""

    def __init__(self, out_dir: Path, max_in_a_row: int, step: int) -> None:
        self.path = out_dir / SKIPPED_NAME
        self.max_in_a_row = max_in_a_row

        def resume() -> int:
            lines = lines_until(self.path, step)
            if self.path.exists():
                write_text(self.path, "".join(f"{line}\n" for line in lines))
            steps = {json.loads(line)["step"] for line in lines}
            return next(n for n in range(step + 1) if step - n not in steps)

        self.n_in_a_row = first(resume)

    def add(self, faults: list[Fault]) -> None:
        """Records a skipped step of all ranks; raises DataError if it is one too many in a row."""
        chosen = [fault for fault in faults if fault.is_source] or faults
        first(lambda: self._write(chosen))
        self.n_in_a_row += 1
        if self.n_in_a_row >= self.max_in_a_row:
            times = f"; {self.n_in_a_row} steps in a row were skipped" * (self.n_in_a_row > 1)
            raise DataError(f"{chosen[0]}{times}")
        say(f"skipped: {chosen[0]} (see {self.path})")

    def end(self) -> None:
        """Records a step that is not skipped."""
        self.n_in_a_row = 0

    def _write(self, faults: list[Fault]) -> None:
        names = ("step", "rank", "ids", "what")
        append(self.path, ({name: getattr(fault, name) for name in names} for fault in faults))


def append(path: Path, items: Iterable[dict[str, object]]) -> None:
    """Appends JSON lines; raises DataError if they cannot be written."""
    try:
        # Closed after every line: what a full disk refuses is not written a second time.
        with path.open("a", encoding="utf-8") as file:
            for item in items:
                file.write(json.dumps(writable(item), ensure_ascii=False) + "\n")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); free some space and start the same "
            "command again"
        ) from error


def lines_until(path: Path, step: int) -> list[str]:
    """Whole JSON lines of steps up to `step`, which a run that resumes there keeps."""
    if not path.exists():
        return []
    # A disk that is full may cut a line within a character.  Other ends of lines belong to ids.
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return [line for line in lines if _step_of(line) <= step]


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line that was cut by an interruption
