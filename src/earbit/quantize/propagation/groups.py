"""Groups of leaves to quantize together: roles, pairs of roles and roles in one layer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import torch

from earbit.nn.leaves import leaves_of
from earbit.nn.roles import ROLES, Role

LAYER_ROLES: tuple[Role, ...] = ("attention", "convolution", "feed_forward")
"""Roles of the blocks in encoder layers."""


class Group(NamedTuple):
    """All leaves or blocks of some roles, in all layers or in one."""

    roles: tuple[Role, ...]
    layer: int | None = None

    def __str__(self) -> str:
        return "+".join(self.roles) + ("" if self.layer is None else f" of layer {self.layer}")

    def contains(self, role: Role | None, layer: int | None) -> bool:
        """Whether a leaf or block of this role and layer belongs to the group."""
        return role in self.roles and self.layer in (None, layer)


def stack_of(groups: Iterable[Group]) -> Group:
    """Group of all quantized leaves in encoder layers; has no roles if no leaf is quantized."""
    found = {role for group in groups for role in group.roles}
    return Group(tuple(role for role in LAYER_ROLES if role in found))


def groups_of(student: torch.nn.Module) -> list[Group]:
    """Groups to measure, each once.

    Each role, each pair of roles in layers, all roles in layers, and each role in each layer.
    """
    quantized = [leaf for leaf in leaves_of(student) if not leaf.leaf.precision.is_float]
    roles = [Group((role,)) for role in ROLES if any(role == leaf.role for leaf in quantized)]
    stack = stack_of(roles)
    pairs = [Group(pair) for pair in itertools.combinations(stack.roles, 2)]
    single = [Group((one.role,), one.layer) for one in quantized if one.role in stack.roles]
    return list(dict.fromkeys([*roles, *pairs, *([stack] if stack.roles else []), *single]))
