"""Writes segments of speakers as RTTM, the format of NIST for diarization."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.files import write_text


def write_rttm(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Writes the segments of all files as RTTM; names of files are cut to their stem."""
    lines = [
        f"SPEAKER {_field(Path(entry['audio']).stem)} 1 {start_s:.3f} {end_s - start_s:.3f} "
        f"<NA> <NA> {_field(speaker)} <NA> <NA>\n"
        for entry in entries
        for start_s, end_s, speaker in entry.get("segments", ())
        if not math.isclose(start_s, end_s)
    ]
    write_text(path, "".join(lines))


def _field(name: str) -> str:
    """A name as one field: RTTM separates fields with spaces."""
    return "_".join(name.split()) or "_"
