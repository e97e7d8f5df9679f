"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import UseAppendAction, arg

Json = Annotated[
    Path | None, arg(metavar="FILE", help="Write the result as JSON to this file; - is stdout.")
]
Settings = UseAppendAction[tuple[tuple[str, ...], ...]]
Seed = Annotated[int, arg(help="Seed of everything random.")]


def flat(settings: tuple[tuple[str, ...], ...]) -> list[str]:
    """What several --set say, one after the other."""
    return [one for group in settings for one in group]
