"""The table of importers, one row per source format."""

from __future__ import annotations

from pathlib import Path

from earbit.errors import FormatError
from earbit.foreign import foreign_kind
from earbit.hub.hugging_face import HUGGING_FACE
from earbit.hub.importer import Importer

IMPORTERS: list[Importer] = [
    HUGGING_FACE,
]


def importer_of(source: Path) -> Importer:
    """Finds the importer of a file or folder; raises FormatError for unknown formats."""
    if not source.exists():
        raise FormatError(f"{source}: no such file or folder; download the model, give its folder")
    for importer in IMPORTERS:
        if importer.recognises(source):
            return importer
    kind = foreign_kind(source) or "not a model that earbit recognises"
    titles = ", ".join(importer.title for importer in IMPORTERS)
    raise FormatError(f"{source}: {kind}; formats that can be imported: {titles}")
