"""Groups of leaves that get one precision: a role in a layer, or a leaf outside of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from earbit.model import AudioModel
from earbit.nn.leaves import NamedLeaf, leaves_of, roles_of
from earbit.nn.precision import Precision
from earbit.quantize.plan import Plan, Rule
from earbit.quantize.selector import Selector

FIRST_CONVOLUTION = "front_end.convs.0"
"""Reads raw audio, which has no quantized form."""


@dataclass(frozen=True, slots=True)
class LeafGroup:
    """Leaves with a common precision, and the selector of a plan that selects them."""

    selector: Selector
    leaves: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.selector)


def groups_of(model: AudioModel) -> list[LeafGroup]:
    """All groups of a model in the order of its leaves, without heads and the first convolution."""
    leaves = [
        leaf for leaf in leaves_of(model) if leaf.role != "head" and leaf.name != FIRST_CONVOLUTION
    ]
    names: dict[Selector, list[str]] = {}
    for leaf in leaves:
        names.setdefault(_selector_of(leaf, leaves), []).append(leaf.name)
    return [LeafGroup(selector, tuple(inside)) for selector, inside in names.items()]


def _selector_of(leaf: NamedLeaf, leaves: Sequence[NamedLeaf]) -> Selector:
    if leaf.layer is not None:
        return Selector(leaf.role, first_layer=leaf.layer, last_layer=leaf.layer)
    is_single = sum(other.role == leaf.role for other in leaves) == 1
    return Selector(leaf.role) if is_single else Selector(name=leaf.name)


def plan_of(name: str, chosen: Mapping[LeafGroup, Precision]) -> Plan:
    """The plan that gives each group its precision.

    Successive layers of a role with the same precision become one rule.  Groups in float have no
    rule.
    """
    rules: list[Rule] = []
    by_role = sorted(chosen.items(), key=lambda item: _order(item[0], list(chosen)))
    for group, precision in by_role:
        if precision.is_float:
            continue
        if rules and (joined := _joined(rules[-1], group.selector, precision)):
            rules[-1] = joined
        else:
            rules.append((group.selector, precision))
    return Plan(name, tuple(rules))


def _order(group: LeafGroup, groups: Sequence[LeafGroup]) -> tuple[int, int]:
    """Roles in the order of their first group, and layers in order within a role."""
    of_role = [one for one in groups if one.selector.role == group.selector.role]
    return groups.index(of_role[0]), groups.index(group)


def _joined(rule: Rule, selector: Selector, precision: Precision) -> Rule | None:
    """One rule for a rule and the next layer of its role; None if they differ."""
    before, its_precision = rule
    is_next = (
        before.role == selector.role
        and before.last_layer is not None
        and selector.first_layer == before.last_layer + 1
    )
    if not is_next or its_precision != precision:
        return None
    return replace(before, last_layer=selector.last_layer), precision


def owners_of(
    model: AudioModel, groups: Sequence[LeafGroup], modules: Iterable[str]
) -> list[int | None]:
    """Index of the group that each module of an op belongs to; None for ops of no group.

    A block belongs to the group of its leaves.  The first convolution and the norm behind it belong
    to the second convolution, because its precision determines whether they are one op.
    """
    roles = roles_of(model)
    fronts = [i for i, group in enumerate(groups) if group.selector.role == "front_end"]

    def owner(module: str) -> int | None:
        inside = f"{module}."
        for i, group in enumerate(groups):
            if any(f"{leaf}.".startswith(inside) for leaf in group.leaves):
                return i
        return fronts[0] if fronts and roles.get(module) == "front_end" else None

    return [owner(module) if module else None for module in modules]
