"""Clips without labels, since they cannot be read: quarantine.jsonl beside the labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from earbit.audio.clips import ClipTable
from earbit.audio.corpus import QUARANTINE_NAME
from earbit.audio.place import shown
from earbit.errors import FormatError
from earbit.files import name_of, writable, write_text
from earbit.progress import say

N_NAMED = 3
"""Maximum number of unreadable clips that are printed."""


def write_lost(folder: Path, clips: ClipTable, reason_of: Mapping[str, str]) -> None:
    """Adds unreadable clips to quarantine.jsonl, one JSON object per line, and prints the first."""
    if not reason_of:
        return
    path = folder / QUARANTINE_NAME
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = []
    for name, reason in sorted(reason_of.items()):
        clip = clips.named(name)
        entry = {"id": name, "path": name_of(shown(clip.path, clip.place)), "reason": reason}
        lines.append(json.dumps(writable(entry), ensure_ascii=False) + "\n")
    write_text(path, before + "".join(lines))
    what = "1 clip has" if len(lines) == 1 else f"{len(lines)} clips have"
    say(f"{what} no units, see {path}; the first:")
    for reason in list(reason_of.values())[:N_NAMED]:
        say(f"  {reason}")


def lost_ids(folder: Path) -> frozenset[str]:
    """Ids of the clips that `write_lost` has listed."""
    path = folder / QUARANTINE_NAME
    if not path.exists():
        return frozenset()
    try:
        entries = [
            json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line
        ]
        return frozenset(entry["id"] for entry in entries if "id" in entry)
    except (OSError, ValueError, TypeError) as error:
        raise FormatError(f"{path}: cannot be read ({error}); make the units anew") from error
