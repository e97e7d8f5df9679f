"""Which leaf gets which precision: a plan is data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from earbit.config import suggest
from earbit.errors import ConfigError
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


_ENCODER: tuple[tuple[str, Precision], ...] = (("encoder.layers.*", W1A1),)

PLANS: dict[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan("fp32", ()),
        # Front end, position and projection stay in float, as the paper's storage figures imply.
        Plan("w1a1-encoder", _ENCODER),
        # The first convolution sees raw audio and costs 0.2 % of the products: it stays in float.
        Plan(
            "w1a1",
            (("front_end.convs.[1-6]", W1A1), ("encoder.position.conv", W1A1), *_ENCODER),
        ),
    )
}


def plan_named(name: str) -> Plan:
    """The plan called `name`; ConfigError with near names when there is none."""
    if name not in PLANS:
        raise ConfigError(f"unknown plan {name!r}{suggest(name, list(PLANS))}")
    return PLANS[name]
