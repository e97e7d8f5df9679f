"""Which leaf gets which precision: a plan is data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from earbit.config import suggest
from earbit.errors import ConfigError, UnsupportedError
from earbit.nn.precision import FLOAT, W1A1, Precision


@dataclass(frozen=True, slots=True)
class Plan:
    """Rules (pattern of leaf names, precision); of several that match, the last one holds.

    Leaves that no rule matches stay in float.
    """

    name: str
    rules: tuple[tuple[str, Precision], ...]

    def precisions(self, leaf_names: Iterable[str]) -> dict[str, Precision]:
        """The precision of every leaf; ConfigError when a rule matches none of them."""
        names = list(leaf_names)
        table = dict.fromkeys(names, FLOAT)
        for pattern, precision in self.rules:
            matches = [name for name in names if fnmatchcase(name, pattern)]
            if not matches:
                near = suggest(pattern, _families(names))
                raise ConfigError(f"plan {self.name!r}: pattern {pattern!r} matches no leaf{near}")
            table.update(dict.fromkeys(matches, precision))
        return table


def _families(names: list[str]) -> list[str]:
    """Leaf names with their indices starred, each once: what a pattern usually looks like."""
    return list(dict.fromkeys(re.sub(r"\.\d+\.", ".*.", name) for name in names))


Rules = tuple[tuple[str, Precision], ...]

_FRONT_END = "front_end.convs.[1-6]"
_POSITION = "encoder.position.conv"
_ENCODER = "encoder.layers.*"


def _everywhere(precision: Precision) -> Rules:
    """All but the first convolution, which sees raw audio and costs 0.2 % of the products."""
    return ((_FRONT_END, precision), (_POSITION, precision), (_ENCODER, precision))


PLANS: dict[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan("fp32", ()),
        # Front end, position and projection stay in float, as the paper's storage figures imply.
        Plan("w1a1-encoder", ((_ENCODER, W1A1),)),
        Plan("w1a1", _everywhere(W1A1)),
        Plan("w1a1-frontend4", (*_everywhere(W1A1), (_FRONT_END, Precision(1, 4)))),
        Plan("w1a1-frontend8", (*_everywhere(W1A1), (_FRONT_END, Precision(8, 8)))),
        Plan("w1a2", _everywhere(Precision(1, 2))),
        Plan("w2a2", _everywhere(Precision(2, 2))),
        Plan("w4a4", _everywhere(Precision(4, 4))),
        Plan("w8a8", _everywhere(Precision(8, 8))),
    )
}

QUANTIZED = (FLOAT, W1A1)
"""What a leaf can be converted to; of a plan with other precisions only the cost is known."""


def plan_named(name: str) -> Plan:
    """The plan called `name`; ConfigError with near names when there is none."""
    if name not in PLANS:
        raise ConfigError(f"unknown plan {name!r}{suggest(name, list(PLANS))}")
    return PLANS[name]


def trainable_plan(name: str) -> Plan:
    """The plan called `name`; UnsupportedError when it has a precision without quantized leaves."""
    plan = plan_named(name)
    lacking = dict.fromkeys(str(p) for _, p in plan.rules if p not in QUANTIZED)
    if lacking:
        allowed = [n for n, p in PLANS.items() if all(rule[1] in QUANTIZED for rule in p.rules)]
        raise UnsupportedError(
            f"plan {name!r} has leaves of {', '.join(lacking)}, which can be profiled only, not "
            f"trained or exported yet; use {', '.join(allowed)}"
        )
    return plan
