"""Arguments of `earbit choose`, checked before PyTorch is imported, which takes seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.choose.solve import UNITS, Budget
from earbit.errors import ConfigError, require_count
from earbit.files import require_place
from earbit.frames import MIN_SAMPLES
from earbit.nn.precision import FLOAT, Precision
from earbit.quantize.plan import PLANS

PRECISIONS = ("w1a1", "w1a2", "w1a4", "w2a2", "w4a4", "w8a8")
"""Candidates by default, beside float."""
SECONDS = 4.0
"""Length of each clip by default, without a task."""
MAX_SECONDS = 60.0


def evidence_path(out: Path) -> Path:
    """The file of the evidence beside a plan file."""
    return out.with_name(f"{out.stem}.evidence.json")


def check_arguments(
    budget: Budget,
    *,
    task: str | None = None,
    head: Path | None = None,
    n_clips: int | None = None,
    seconds: float | None = None,
    out: Path | None = None,
) -> None:
    """Raises ConfigError for arguments that do not fit each other, and DataError for the place."""
    if budget.ms is None and budget.mb is None:
        raise ConfigError("no budget; give --budget-ms N (for 10 s of audio) or --budget-mb N")
    for unit in UNITS:
        limit = budget.of(unit)
        if limit is not None and not 0 < limit < math.inf:
            raise ConfigError(f"--budget-{unit} {limit:g}; allowed: numbers above 0")
    if head is not None and task is None:
        raise ConfigError(f"--head {head} without --task; name the task of the head")
    if n_clips is not None:
        require_count(clips=n_clips)
    if seconds is not None and task is not None:
        raise ConfigError(
            f"--seconds {seconds:g} with --task, whose clips are whole; leave out --seconds"
        )
    least = MIN_SAMPLES / SAMPLE_RATE_HZ
    if seconds is not None and not least <= seconds <= MAX_SECONDS:
        raise ConfigError(
            f"--seconds {seconds:g}; allowed: {least:g} (one frame) to {MAX_SECONDS:g}"
        )
    if out is None:
        return
    if out.suffix != ".json":
        raise ConfigError(f"--out {out}: a plan file ends in .json; give another name")
    if out.stem in PLANS:
        raise ConfigError(
            f"--out {out}: a plan of earbit is called {out.stem!r} already; give another name"
        )
    require_place(out)
    if out.exists() and not evidence_path(out).is_file():
        raise ConfigError(
            f"--out {out}: exists and has no {evidence_path(out).name} beside it, so it may be a "
            "plan of your own; give another name"
        )


def columns_of(precisions: Sequence[str]) -> list[Precision]:
    """Float and the candidates, each once.

    Raises ConfigError for a precision without ops, and without a quantized one.
    """
    found = [Precision.parse(text) for text in precisions]
    for precision in found:
        if precision.is_half_float:
            raise ConfigError(
                f"--precisions {precision}: no op has one operand in float; allowed: fp32, or 1, "
                "2, 4 or 8 bits on both sides, as w1a4"
            )
    quantized = [precision for precision in dict.fromkeys(found) if not precision.is_float]
    if not quantized:
        raise ConfigError("--precisions without a quantized one; give some, as w1a1 w8a8")
    return [FLOAT, *quantized]
