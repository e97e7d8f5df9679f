"""Plans: the precision of every leaf, chosen by role, layer and name.  A plan is data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from earbit.config import suggest
from earbit.config_file import read
from earbit.errors import ConfigError, shown
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.nn.roles import ROLES
from earbit.quantize.selector import Selector

if TYPE_CHECKING:
    from earbit.nn.leaves import NamedLeaf

Rule = tuple[Selector, Precision]


@dataclass(frozen=True, slots=True)
class Plan:
    """Rules (selector, precision); the last matching rule applies to a leaf.

    Leaves that no rule selects stay in float, and so do heads, which are not part of the encoder.
    """

    name: str
    rules: tuple[Rule, ...]

    def described(self) -> list[list[str]]:
        """Pairs of a selector and a precision, in order, for the description of a run."""
        return [[str(selector), str(precision)] for selector, precision in self.rules]

    def as_file(self) -> dict[str, str]:
        """Content of a plan file with the same effect; of equal selectors the last one counts."""
        content: dict[str, str] = {}
        for selector, precision in self.described():
            content.pop(selector, None)  # the later rule keeps its place
            content[selector] = precision
        return content

    def precisions(self, leaves: Iterable[NamedLeaf]) -> dict[str, Precision]:
        """The precision of every leaf by its name.

        A rule without a name pattern gives both operands of an activation product (`MatMul`) the
        activation's bits, as BiT does.  Raises ConfigError for a rule that names a leaf or an
        encoder layer that the model does not have, and for one that quantizes heads alone; a role
        may be absent, since encoders differ.
        """
        leaves = list(leaves)
        table = {leaf.name: FLOAT for leaf in leaves}
        for selector, precision in self.rules:
            if not precision.is_float and selector.is_of_heads(leaves):
                raise ConfigError(
                    f"plan {self.name!r}: {str(selector)!r} selects heads alone, and heads stay in "
                    "float; remove the rule"
                )
            if not selector.fits(leaves):
                near = _near(selector, leaves)
                raise ConfigError(f"plan {self.name!r}: {str(selector)!r} matches no leaf{near}")
            bits = precision.activation_bits
            of_products = Precision(bits, bits) if selector.name is None else precision
            for leaf in leaves:
                if selector.selects(leaf) and leaf.role != "head":
                    table[leaf.name] = precision if leaf.has_weight else of_products
        return table

    def quantizing(self, leaves: Iterable[NamedLeaf]) -> dict[str, Precision]:
        """Like `precisions`; raises ConfigError too if every leaf stays in float."""
        table = self.precisions(leaves)
        if all(precision.is_float for precision in table.values()):
            raise ConfigError(
                f"plan {self.name!r} quantizes nothing; give a plan with fewer bits, as w1a1"
            )
        return table


def _near(selector: Selector, leaves: list[NamedLeaf]) -> str:
    """End of an error: the layers that exist, or similar selectors."""
    layers = selector.all_layers(leaves)
    if selector.first_layer is not None and layers:
        return f"; {str(selector.of_all_layers())!r} has layers {layers[0]} to {layers[-1]}"
    families = (re.sub(r"\.\d+\.", ".*.", leaf.name) for leaf in leaves)
    return suggest(selector.name or str(selector), list(dict.fromkeys((*ROLES, *families))))


def _front_end(precision: Precision) -> tuple[Rule, ...]:
    """All convolutions but the first, which sees raw audio and costs 0.2 % of the products."""
    return ((Selector("front_end", first_layer=1), precision),)


def _encoder(precision: Precision) -> tuple[Rule, ...]:
    return tuple(
        (Selector(role), precision) for role in ("attention", "convolution", "feed_forward")
    )


def _everywhere(precision: Precision) -> tuple[Rule, ...]:
    """Front end, positions and encoder; projections and heads stay in float."""
    position = (Selector("position"), precision)
    return (*_front_end(precision), position, *_encoder(precision))


PLANS: dict[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan("fp32", ()),
        # Front end, position and projection stay in float, as the paper's storage figures imply.
        Plan("w1a1-encoder", _encoder(W1A1)),
        Plan("w1a1", _everywhere(W1A1)),
        Plan("w1a1-frontend4", (*_everywhere(W1A1), *_front_end(Precision(1, 4)))),
        Plan("w1a1-frontend8", (*_everywhere(W1A1), *_front_end(Precision(8, 8)))),
        Plan("w1a2", _everywhere(Precision(1, 2))),
        Plan("w2a2", _everywhere(Precision(2, 2))),
        Plan("w4a4", _everywhere(Precision(4, 4))),
        Plan("w8a8", _everywhere(Precision(8, 8))),
    )
}


SUFFIXES = {".json", ".yaml", ".yml"}
EXAMPLE = '{"attention": "w1a1", "feed_forward layers=0-5": "w4a4"}'


def plan_name(where: str) -> str:
    """Name of a plan: its own, or its file name without folders and suffix."""
    return Path(where).stem if Path(where).suffix in SUFFIXES else where


def plan_named(where: str) -> Plan:
    """A named plan, or the plan in a `.json`, `.yaml` or `.yml` file.

    A file maps selectors to precisions, as `{"attention": "w1a1", "*.output": "w8a8"}`; the last
    matching selector applies.  Raises ConfigError for an unknown name and an invalid file.
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


def _rules_of(path: Path) -> Iterator[Rule]:
    rules = read(path)
    if not isinstance(rules, dict):
        raise ConfigError(f"{path}: {shown(rules)} is not a mapping; a plan is one, as {EXAMPLE}")
    for pattern, text in rules.items():
        if not isinstance(pattern, str) or not isinstance(text, str):
            raise ConfigError(
                f"{path}: {shown(pattern)}: {shown(text)} is not a rule; write a selector "
                f"and a precision, as {EXAMPLE}"
            )
        try:
            yield Selector.parse(pattern), Precision.parse(text)
        except ConfigError as error:
            raise ConfigError(f"{path}: {shown(pattern)}: {error}") from error
