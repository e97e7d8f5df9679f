"""What a run of stages came to, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earbit.nn.precision import FLOAT
from earbit.quantize.convert import LeafReport
from earbit.terminal import printable
from earbit.text_table import aligned

HEADER = ("", "unit accuracy", "cross-entropy", "distance to its teacher")


def leaves_text(leaves: Sequence[LeafReport]) -> str:
    """The text of leaves.txt: a header and a line per leaf."""
    header = f"{'leaf':<56} {'role':<13}{'kind':<7} {'bits':<7} {'scales':<8}input"
    return "".join(f"{line}\n" for line in (header, *leaves))


def render(result: Mapping[str, Any], out_dir: str) -> str:
    """The teacher and every stage on the validation part, and what was quantized.

    result: of `quantize_on`.  Accuracy and cross-entropy are of hidden frames; the distance is the
    sum of mean squared errors of all hidden states.
    """
    rows = [HEADER, _row("teacher", result["teacher"])]
    for i, stage in enumerate(result["stages"], start=1):
        rows.append(_row(f"{i}-{stage['plan']}, {stage['n_steps']} steps", stage))
    precisions = list(result["precisions"].values())
    n_quantized = sum(precision != str(FLOAT) for precision in precisions)
    return "\n".join(
        (
            *aligned(rows),
            f"{n_quantized} of {len(precisions)} leaves quantized, see "
            f"{printable(out_dir)}/leaves.txt",
            f"the model is {printable(result['model'])}",
        )
    )


def _row(name: str, figures: Mapping[str, float]) -> tuple[str, ...]:
    distance = figures.get("valid_state_distance")
    return (
        name,
        f"{100 * figures['valid_accuracy']:.1f} %",
        f"{figures['valid_cross_entropy']:.3f}",
        "-" if distance is None else f"{distance:.3g}",
    )
