"""Which encoders can be compared: a mixed one and one of attention alone, of one shape and plan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from earbit.model import AudioModel
from earbit.nn.leaves import leaves_of
from earbit.quantize.propagation.parts import kind_of, layer_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """A model as far as it decides what the model is compared with."""

    name: str
    plan: str
    teacher: str | None
    """The full-precision model of a trained one; None where scales come from data."""
    is_random: bool
    """A preset, whose weights are those of the initialisation."""
    is_mixed: bool
    """Convolution modules in its layers, beside attention; quantized or not."""
    quantizes_layers: bool
    n_layers: int
    d_model: int


def stack_of(
    model: AudioModel,
    quantized: Collection[str],
    *,
    name: str,
    plan: str,
    teacher: str | None,
    is_random: bool,
) -> Stack:
    """What decides about a model in which the leaves of some names are quantized."""
    kinds = {kind_of(model, leaf) for leaf in leaves_of(model) if layer_of(leaf) is not None}
    return Stack(
        name=name,
        plan=plan,
        teacher=teacher,
        is_random=is_random,
        is_mixed={"attention", "convolution"} <= kinds,
        quantizes_layers=any(layer_of(leaf) is not None for leaf in quantized),
        n_layers=model.config.encoder.n_layers,
        d_model=model.config.encoder.d_model,
    )


def pairs_of(stacks: Sequence[Stack]) -> list[tuple[int, int]]:
    """Every mixed stack with every attention-only one that it can be compared with, by place."""
    return [
        (i, j)
        for i, mixed in enumerate(stacks)
        for j, plain in enumerate(stacks)
        if mixed.is_mixed and not plain.is_mixed and not _differences(mixed, plain)
        if mixed.quantizes_layers and plain.quantizes_layers
    ]


def why_not_compared(stacks: Sequence[Stack]) -> str | None:
    """Of several models: which are compared with none, and what to do, in a line; else None."""
    paired = {place for pair in pairs_of(stacks) for place in pair}
    left = [place for place in range(len(stacks)) if place not in paired]
    if len(stacks) < 2 or not left:
        return None
    untouched = [stack for stack in stacks if not stack.quantizes_layers]
    if untouched:
        return (
            f"no comparison: plan {untouched[0].plan!r} quantizes nothing in the layers of "
            f"{_listed(untouched)}; give one that does, as w1a1"
        )
    for is_mixed, only, add in (
        (False, "have attention alone", "a mixed one (conformer, squeezeformer)"),
        (True, "mix attention with convolution", "one of attention alone (hubert, sparseformer)"),
    ):
        if all(stack.is_mixed is is_mixed for stack in stacks):
            return f"no comparison: {_listed(stacks)} all {only}; add {add}"
    misses = {tuple(sorted((place, _nearest(place, stacks)))) for place in left}
    pairs = [(stacks[i], stacks[j]) for i, j in sorted(misses)]
    said = [
        f"{one.name} and {other.name} differ in "
        + ", ".join(f"{what} ({ours} and {theirs})" for what, ours, theirs in _differences(*pair))
        for pair in pairs
        for one, other in [pair]
    ]
    return f"not compared: {'; '.join(said)}; {_advice(pairs)} (docs/errors.md)"


def _differences(one: Stack, other: Stack) -> list[tuple[str, object, object]]:
    figures = (
        ("layers", one.n_layers, other.n_layers),
        ("width", one.d_model, other.d_model),
        ("plan", one.plan, other.plan),
    )
    return [(what, ours, theirs) for what, ours, theirs in figures if ours != theirs]


def _nearest(place: int, stacks: Sequence[Stack]) -> int:
    """Of the other sort, the stack that differs in least."""
    mine = stacks[place]
    others = [i for i, other in enumerate(stacks) if other.is_mixed is not mine.is_mixed]
    return min(others, key=lambda i: len(_differences(mine, stacks[i])))


def _advice(pairs: Sequence[tuple[Stack, Stack]]) -> str:
    differ = {what for pair in pairs for what, _, _ in _differences(*pair)}
    like = pairs[0][0]
    steps = []
    if differ & {"layers", "width"}:
        if all(stack.is_random for pair in pairs for stack in pair):
            steps += [f"--set encoder.n_layers={like.n_layers} encoder.d_model={like.d_model}"]
        else:
            steps += [
                "pre-train them alike, --set "
                f"model.encoder.n_layers={like.n_layers} model.encoder.d_model={like.d_model}"
            ]
    if "plan" in differ:
        steps += ["quantize them under one plan"]
    return "to compare them, " + " and ".join(steps)


def _listed(stacks: Sequence[Stack]) -> str:
    return ", ".join(stack.name for stack in stacks)
