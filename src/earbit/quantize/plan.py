"""Which leaf gets which precision: a plan is data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from earbit.config import read, suggest
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

    def quantizing(self, leaf_names: Iterable[str]) -> dict[str, Precision]:
        """As `precisions`; ConfigError when all leaves stay in float too."""
        table = self.precisions(leaf_names)
        if all(precision.is_float for precision in table.values()):
            raise ConfigError(
                f"plan {self.name!r} quantizes nothing; give a plan with fewer bits, as w1a1"
            )
        return table


def _families(names: list[str]) -> list[str]:
    """Leaf names with their indices starred, each once: what a pattern usually looks like."""
    return list(dict.fromkeys(re.sub(r"\.\d+\.", ".*.", name) for name in names))


Rules = tuple[tuple[str, Precision], ...]

_FRONT_END = "front_end.convs.[1-6]"
_POSITION = "encoder.position.conv"
_ENCODER = "encoder.layers.*"
_PRODUCTS = ("encoder.layers.*scores", "encoder.layers.*context")
"""Leaves without a weight: both of their operands are activations."""


def _everywhere(precision: Precision) -> Rules:
    """All but the first convolution, which sees raw audio and costs 0.2 % of the products.

    The projection behind the front end and the Squeezeformer's changes of rate stay in float too.
    """
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
        # As in BiT: what is an activation has 2 bits, in attention products on both sides.
        Plan("w1a2", (*_everywhere(Precision(1, 2)), *((p, Precision(2, 2)) for p in _PRODUCTS))),
        Plan("w2a2", _everywhere(Precision(2, 2))),
        Plan("w4a4", _everywhere(Precision(4, 4))),
        Plan("w8a8", _everywhere(Precision(8, 8))),
    )
}


SUFFIXES = {".json", ".yaml", ".yml"}
EXAMPLE = '{"encoder.layers.*": "w1a1"}'


def plan_name(where: str) -> str:
    """What a plan is called: its name, or that of its file without folders and suffix."""
    return Path(where).stem if Path(where).suffix in SUFFIXES else where


def plan_named(where: str) -> Plan:
    """A plan of ours by its name, or that of a `.json`, `.yaml` or `.yml` file.

    A file is a mapping of patterns to precisions, `{"encoder.layers.*": "w1a1"}`; of several
    patterns that match, the last one holds.  Raises ConfigError, with near names, for what is none.
    """
    if where in PLANS:
        return PLANS[where]
    name = plan_name(where)
    if name == where:
        raise ConfigError(
            f"unknown plan {where!r}; plans are {', '.join(PLANS)}, or a .json or .yaml file of "
            "your own"
        )
    if name in PLANS:
        raise ConfigError(f"{where}: a plan of earbit is called {name!r} already; rename the file")
    return Plan(name, tuple(_rules_of(Path(where))))


def _rules_of(path: Path) -> Iterator[tuple[str, Precision]]:
    rules = read(path)
    if not isinstance(rules, dict):
        raise ConfigError(f"{path}: {rules!r} is not a mapping; a plan is one, as {EXAMPLE}")
    for pattern, text in rules.items():
        if not isinstance(pattern, str) or not isinstance(text, str):
            raise ConfigError(
                f"{path}: {pattern!r}: {text!r} is no rule; write a pattern and a precision, as "
                f"{EXAMPLE}"
            )
        try:
            yield pattern, Precision.parse(text)
        except ConfigError as error:
            raise ConfigError(f"{path}: {pattern}: {error}") from error
