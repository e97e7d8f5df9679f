"""Names of files that resemble a mistyped one."""

from __future__ import annotations

import difflib
from pathlib import Path

MAX_NAMED = 3


def near_names(path: Path) -> str:
    """Clause about the folder of a missing file: "; near names there: a, b"; empty if none is near.

    Names that begin with that of the file, such as NAME.safetensors, come first.
    """
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except (OSError, ValueError):
        return ""
    begun = [name for name in names if path.stem and name.startswith(path.stem)]
    near = difflib.get_close_matches(path.name, names, MAX_NAMED)
    found = list(dict.fromkeys([*begun, *near]))[:MAX_NAMED]
    return f"; near names there: {', '.join(found)}" if found else ""
