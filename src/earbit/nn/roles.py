"""Roles of the leaves of a model, importable without PyTorch."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal[
    "front_end", "projection", "position", "attention", "convolution", "feed_forward", "head"
]
"""Purpose of a leaf in a model.

`projection` changes the width or the frame rate between two stages, `position` is the positional
convolution, `head` predicts units or labels.
"""
ROLES: tuple[Role, ...] = get_args(Role)
DEFAULT_ROLE: Role = "projection"
"""Role of a leaf outside of all blocks with a role."""


def label_of(role: str) -> str:
    """Returns the display name of a role, for example "feed-forward" for `feed_forward`."""
    return {"front_end": "front end", "feed_forward": "feed-forward"}.get(role, role)
