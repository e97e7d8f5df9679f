"""Clips without labels, since they cannot be read: quarantine.jsonl beside the labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from earbit.audio.clips import ClipTable
from earbit.audio.quarantine import QUARANTINE_NAME, clip_entries, listed, replace_entries
from earbit.progress import say

N_NAMED = 3
"""Maximum number of unreadable clips that are printed."""


def write_lost(folder: Path, clips: ClipTable, reason_of: Mapping[str, str]) -> None:
    """Lists the unreadable clips of a labelling in the place of earlier ones; prints the first."""
    replace_entries(folder, clip_entries(clips, reason_of), with_id=True)
    if not reason_of:
        return
    what = "1 clip has" if len(reason_of) == 1 else f"{len(reason_of)} clips have"
    say(f"{what} no units, see {folder / QUARANTINE_NAME}; the first:")
    for reason in list(reason_of.values())[:N_NAMED]:
        say(f"  {reason}")


def lost_ids(folder: Path) -> frozenset[str]:
    """Ids of the clips that `write_lost` has listed."""
    return frozenset(entry["id"] for entry in listed(folder) if "id" in entry)
