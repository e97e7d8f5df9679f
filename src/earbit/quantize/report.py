"""Text reports of quantization: the table of results, leaves.txt, and rules without effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from earbit.errors import UnsupportedError
from earbit.nn.leaves import MatMul, NamedLeaf
from earbit.nn.precision import FLOAT, Precision
from earbit.progress import say
from earbit.quantize.convert import LeafReport
from earbit.quantize.plan import PLANS, Plan
from earbit.terminal import printable
from earbit.text_table import aligned

COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "valid_accuracy": ("unit accuracy", lambda share: f"{100 * share:.1f} %"),
    "valid_cross_entropy": ("cross-entropy", lambda nats: f"{nats:.3f}"),
    "valid_state_distance": ("distance to its teacher", lambda distance: f"{distance:.3g}"),
}
"""Header and format by the name of a figure."""


def leaves_text(leaves: Sequence[LeafReport]) -> str:
    """The text of leaves.txt: a header and a line per leaf."""
    header = f"{'leaf':<56} {'role':<13}{'kind':<7} {'bits':<7} {'scales':<8}input"
    return "".join(f"{line}\n" for line in (header, *leaves))


def render(result: Mapping[str, Any], out_dir: str) -> str:
    """Text table of the teacher and every stage on the validation part.

    result: of `quantize_on`.  Accuracy and cross-entropy are of hidden frames; the distance is the
    sum of mean squared errors of all hidden states.  A figure that no row has gets no column.
    """
    figures: dict[str, Mapping[str, float]] = {}
    if "teacher" in result:
        figures["teacher"] = result["teacher"]
    for i, stage in enumerate(result["stages"], start=1):
        figures[f"{i}-{stage['plan']}, {stage['n_steps']} steps"] = stage
    names = [name for name in COLUMNS if any(name in row for row in figures.values())]
    rows = [("", *(COLUMNS[name][0] for name in names))]
    rows += [(title, *(_cell(name, row) for name in names)) for title, row in figures.items()]
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


def _cell(name: str, figures: Mapping[str, float]) -> str:
    return COLUMNS[name][1](figures[name]) if name in figures else "-"


def say_rules_without_effect(plan: Plan, leaves: Iterable[NamedLeaf], where: str) -> None:
    """Reports rules of a user's plan without an effect on model `where`.

    The model lacks their roles or layers, or later rules select all their leaves.  Named plans have
    roles of all encoders, so they are not reported.
    """
    if plan.name in PLANS:
        return
    leaves = list(leaves)
    absent = [str(s) for s, _ in plan.rules if not any(map(s.selects, leaves))]
    if absent:
        say(f"plan {plan.name!r}: no effect of {', '.join(absent)}, which {where} does not have")
    for i, (selector, _) in enumerate(plan.rules):
        own = [leaf for leaf in leaves if selector.selects(leaf) and leaf.role != "head"]
        later = [other for other, _ in plan.rules[i + 1 :]]
        if own and all(any(other.selects(leaf) for other in later) for leaf in own):
            say(
                f"plan {plan.name!r}: no effect of {selector}, because rules after it select all "
                "its leaves; put general rules first"
            )
        layers = selector.all_layers(leaves)
        if selector.last_layer is not None and layers and selector.last_layer > layers[-1]:
            say(
                f"plan {plan.name!r}: {str(selector)!r} includes layers that {where} does not "
                f"have; its last layer is {layers[-1]}"
            )


def say_without_program(plan: Plan, leaves: Iterable[NamedLeaf]) -> None:
    """Reports, before a training, that `earbit export` has no program for a model under a plan."""
    if reason := _why_no_program(plan, leaves):
        say(f"plan {plan.name!r}: the model can be trained and not exported: {reason}")


def require_program(plan: Plan, leaves: Iterable[NamedLeaf]) -> None:
    """Raises UnsupportedError, with the reason, for what `say_without_program` reports."""
    if reason := _why_no_program(plan, leaves):
        raise UnsupportedError(f"plan {plan.name!r} with --upstream runtime: {reason}")


def _why_no_program(plan: Plan, leaves: Iterable[NamedLeaf]) -> str:
    """The first leaf or block without an op, with the remedy; empty if there is a program."""
    leaves = list(leaves)
    faults = list(_without_op(plan.precisions(leaves), leaves))
    more = f" ({len(faults)} leaves or blocks in all)" if len(faults) > 1 else ""
    return f"{faults[0]}{more}" if faults else ""


def _without_op(precisions: Mapping[str, Precision], leaves: Sequence[NamedLeaf]) -> Iterator[str]:
    """Leaves and blocks for which programs have no op, with the remedy."""
    products: dict[str, list[str]] = {}
    for leaf in leaves:
        precision = precisions[leaf.name]
        if leaf.role == "front_end" and leaf.layer == 0 and not precision.is_float:
            yield (
                f"{leaf.name} reads audio, which has no quantized form; write "
                "'front_end layers=1-', or a last rule with fp32 for it"
            )
        elif precision.is_half_float:
            yield f"{leaf.name} in {precision}; give 1, 2, 4 or 8 bits on both sides, or fp32"
        elif isinstance(leaf.leaf, MatMul):
            products.setdefault(leaf.name.rpartition(".")[0], []).append(leaf.name)
    for block, names in products.items():
        if len({precisions[name].is_float for name in names}) > 1:
            yield f"{block}: some of its products are quantized; quantize all of them, or none"
