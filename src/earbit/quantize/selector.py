"""Selects leaves by role, by layer and by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, cast

from earbit.errors import ConfigError, shown
from earbit.nn.roles import ROLES, Role

if TYPE_CHECKING:
    from earbit.nn.leaves import NamedLeaf

EXAMPLE = "attention layers=0-3"
# Python refuses to convert a text of thousands of digits.
_LAYERS = re.compile(r"layers=([0-9]{1,9})(-?)([0-9]{0,9})")


@dataclass(frozen=True, slots=True)
class Selector:
    """Leaves for which every given condition holds; without conditions, all leaves."""

    role: Role | None = None
    first_layer: int | None = None
    last_layer: int | None = None
    """Included; None with a first layer means all layers from there on."""
    name: str | None = None
    """Shell pattern that leaf names must match, for example `encoder.layers.*.context`."""

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Reads `ROLE`, `layers=N`, `layers=N-M`, `layers=N-` and a name pattern, space-separated.

        Raises ConfigError for an empty text, a condition given twice and layers out of order.
        """
        found: dict[str, str] = {}
        for term in text.split():
            kind = "role" if term in ROLES else "layers" if term.startswith("layers=") else "name"
            if kind in found:
                raise ConfigError(
                    f"selector {text!r}: {found[kind]!r} and {term!r} both give a {kind}; give one "
                    f"role ({', '.join(ROLES)}), one layers=N-M and one name pattern at most"
                )
            found[kind] = term
        if not found:
            raise ConfigError(f"selector {text!r} is empty; give a role or a name, as {EXAMPLE!r}")
        if set(found) == {"layers"}:
            raise ConfigError(
                f"selector {text!r} means layers of front end and encoder alike; add a role or "
                f"a name, as {EXAMPLE!r} or 'encoder.* {text.strip()}'"
            )
        first, last = _layers(found["layers"]) if "layers" in found else (None, None)
        return cls(cast("Role | None", found.get("role")), first, last, found.get("name"))

    def __str__(self) -> str:
        layers = None
        if self.first_layer is not None:
            layers = f"layers={self.first_layer}"
            if self.last_layer != self.first_layer:
                layers += f"-{'' if self.last_layer is None else self.last_layer}"
        return " ".join(term for term in (self.role, layers, self.name) if term is not None)

    def selects(self, leaf: NamedLeaf) -> bool:
        """Whether all conditions hold for a leaf."""
        if self.role is not None and leaf.role != self.role:
            return False
        if self.name is not None and not fnmatchcase(leaf.name, self.name):
            return False
        if self.first_layer is None:
            return True
        if leaf.layer is None or leaf.layer < self.first_layer:
            return False
        return self.last_layer is None or leaf.layer <= self.last_layer

    def fits(self, leaves: Iterable[NamedLeaf]) -> bool:
        """Whether it selects a leaf, or asks for a role only that this model does not have."""
        leaves = list(leaves)
        has_role = any(leaf.role == self.role for leaf in leaves)
        is_absent_role = self.role is not None and not has_role and self.name is None
        return is_absent_role or any(self.selects(leaf) for leaf in leaves)

    def is_of_heads(self, leaves: Iterable[NamedLeaf]) -> bool:
        """Whether it can select heads alone: by its role, or because it selects nothing else."""
        roles = {leaf.role for leaf in leaves if self.selects(leaf)}
        return self.role == "head" or roles == {"head"}

    def of_all_layers(self) -> Selector:
        """The selector without its limits on layers."""
        return replace(self, first_layer=None, last_layer=None)

    def all_layers(self, leaves: Iterable[NamedLeaf]) -> list[int]:
        """Sorted layers of the leaves that `of_all_layers` selects."""
        anywhere = self.of_all_layers()
        found = {leaf.layer for leaf in leaves if anywhere.selects(leaf)}
        return sorted(layer for layer in found if layer is not None)


def _layers(term: str) -> tuple[int, int | None]:
    found = _LAYERS.fullmatch(term)
    if found is None:
        raise ConfigError(f"{shown(term)} names no layers; write layers=3, layers=0-3 or layers=4-")
    first = int(found[1])
    last = int(found[3]) if found[3] else (None if found[2] else first)
    if last is not None and last < first:
        raise ConfigError(f"{term!r}: the last layer is before the first; write the smaller first")
    return first, last
