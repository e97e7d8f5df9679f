"""Roles: the purpose of a leaf in a model.  Known without PyTorch."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal[
    "front_end", "projection", "position", "attention", "convolution", "feed_forward", "head"
]
"""`projection` changes the width or the rate between two stages, `position` is the positional
convolution, `head` predicts units or labels."""
ROLES: tuple[Role, ...] = get_args(Role)
DEFAULT_ROLE: Role = "projection"
"""Role of a leaf that stands in no block with a role."""


def label_of(role: str) -> str:
    """A role as tables and figures print it: `feed_forward` is "feed-forward"."""
    return {"front_end": "front end", "feed_forward": "feed-forward"}.get(role, role)
