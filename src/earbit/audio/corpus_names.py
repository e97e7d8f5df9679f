"""Names of corpora.  Known without Lhotse, PyTorch and NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from earbit.errors import DataError

MANIFEST_NAME = "manifest.jsonl"
"""The file of a folder that names its clips and their labels."""
SYNTHETIC = "synthetic"
SYNTHETIC_CONTENTS: dict[str | Path, Literal["clips", "voices", "queries", "mixtures"]] = {
    SYNTHETIC: "clips",
    "synthetic-voices": "voices",
    "synthetic-queries": "queries",
    "synthetic-mixtures": "mixtures",
}
"""Synthetic corpora by name."""


CUTS_SUFFIXES = (".jsonl", ".jsonl.gz")
"""Ends of the name of a Lhotse manifest."""


def require_corpus(where: str | Path) -> None:
    """Raises DataError unless it is a synthetic corpus, a folder or a manifest of cuts."""
    if Path(where).is_file() and Path(where).name.endswith(CUTS_SUFFIXES):
        return
    if where not in SYNTHETIC_CONTENTS and not Path(where).is_dir():
        raise DataError(f"{where}: no such folder; give a folder of audio, or 'synthetic'")
