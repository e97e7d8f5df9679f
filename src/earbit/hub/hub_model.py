"""Models of earbit on the Hugging Face Hub, for users without transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earbit.extras import imported
from earbit.load import load_model
from earbit.model import AudioModel, ModelOutput
from earbit.model_file import origin_of, save_model
from earbit.model_names import MODEL_FILE_NAME

imported("huggingface_hub", "hf", "earbit.hub.hub_model")

from huggingface_hub import PyTorchModelHubMixin, hf_hub_download  # noqa: E402


class HubModel(  # type: ignore[call-arg]
    torch.nn.Module,
    PyTorchModelHubMixin,
    library_name="earbit",
    tags=["earbit", "speech", "audio"],
):
    """A model with `save_pretrained`, `from_pretrained` and `push_to_hub`.

    Its repository holds the model file of earbit, so all encoders and precisions are exact, and
    every command of earbit takes a downloaded repository as a model folder.
    """

    def __init__(self, model: AudioModel, origin: dict[str, Any] | None = None) -> None:
        """model: in any precision;  origin: provenance that the file records."""
        super().__init__()
        self.model = model
        self.origin = origin or {}

    def forward(self, wave_BN: Tensor, lengths: Tensor | None = None) -> ModelOutput:
        """Encodes a batch as `AudioModel` does."""
        output: ModelOutput = self.model(wave_BN, lengths)
        return output

    def _save_pretrained(self, save_directory: Path) -> None:
        save_model(self.model, save_directory / MODEL_FILE_NAME, self.origin)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        map_location: str = "cpu",
        strict: bool = True,
        **download: Any,
    ) -> HubModel:
        """Loads a folder, or downloads a repository.  strict: not read, files are complete."""
        if Path(model_id).is_dir():
            path = Path(model_id) / MODEL_FILE_NAME
        else:
            names = ("revision", "cache_dir", "force_download", "local_files_only", "token")
            chosen = {name: download[name] for name in names if name in download}
            path = Path(hf_hub_download(model_id, MODEL_FILE_NAME, **chosen))
        return cls(load_model(path), origin_of(path)).to(map_location)
