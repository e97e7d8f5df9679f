"""The table of importers, one row per source format."""

from __future__ import annotations

from pathlib import Path

from earbit.errors import FormatError
from earbit.foreign import absent, foreign_kind
from earbit.hub.distiller_checkpoint import DISTILLER
from earbit.hub.earbit_folder import EARBIT_FOLDER
from earbit.hub.fairseq_checkpoint import FAIRSEQ
from earbit.hub.fit import some
from earbit.hub.hugging_face import HUGGING_FACE, recognises_folder
from earbit.hub.importer import Importer
from earbit.hub.s3prl_checkpoint import S3PRL
from earbit.hub.torch_file import is_torch_file, open_torch_file
from earbit.hub.torchaudio_checkpoint import TORCHAUDIO
from earbit.hub.wavlm_checkpoint import WAVLM

IMPORTERS: list[Importer] = [
    HUGGING_FACE,
    EARBIT_FOLDER,
    WAVLM,
    FAIRSEQ,
    S3PRL,
    DISTILLER,
    TORCHAUDIO,
]


def importer_of(source: Path) -> Importer:
    """Finds the importer of a file or folder; raises FormatError for unknown formats."""
    if not source.exists():
        raise FormatError(absent(source))
    for importer in IMPORTERS:
        if importer.recognises(source):
            return importer
    titles = ", ".join(importer.title for importer in IMPORTERS)
    if source.is_file() and recognises_folder(source.parent):
        raise FormatError(f"{source}: one file of a Hugging Face folder; give {source.parent}")
    kind = foreign_kind(source) or "not a model that earbit recognises"
    if source.is_file() and is_torch_file(source):
        root = open_torch_file(source).root  # raises errors, which recognition does not
        keys = [str(key)[:40] for key in root] if isinstance(root, dict) else []
        kind += f" with {some(keys) or 'no dictionary'}"
    raise FormatError(f"{source}: {kind}; formats that can be imported: {titles}")
