"""Checks that a program has the head that a method needs."""

from __future__ import annotations

from earbit.errors import ConfigError
from earbit.runtime.program_file import Head

METHODS = {
    "class": "label",
    "sequence": "text",
    "vector": "embedding",
    "segments": "segments",
}
"""Kinds of heads, and the method of a session for each."""


def given_head(head: Head | None, kind: str | None = None) -> Head:
    """The head; raises ConfigError without one, and for another kind than a given one."""
    if head is None:
        raise ConfigError(
            "the program has no head, so no labels; `earbit superb MODEL --out DIR` trains one "
            "and `earbit export MODEL --head DIR --out FILE` packs it"
        )
    if kind not in (None, head.kind):
        raise ConfigError(
            f"the program's head is of kind {head.kind!r}; call `{METHODS[head.kind]}` of the "
            "session"
        )
    return head
