"""Models of earbit as an upstream of s3prl, without importing s3prl.

Source: s3prl/s3prl, s3prl/hub.py and upstream/example/expert.py.  Three ways to use it:

- In Python, before the runner or `S3PRLUpstream` starts: `import s3prl.hub`, then
  `earbit.hub.s3prl.add_to(s3prl.hub)`; the upstream `earbit_local` takes a model as `-k`.
- In a checkout, as a line of `s3prl/hub.py`: `from earbit.hub.s3prl import earbit_local`.
- As an `expert.py` of a repository: `from earbit.hub.s3prl import UpstreamExpert`.

Letters: B batch, T frames, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from earbit.errors import ConfigError, DataError, shown
from earbit.frames import HOP_SAMPLES, MIN_SAMPLES
from earbit.load import preset_or_model
from earbit.model_names import require_model


class UpstreamExpert(torch.nn.Module):
    """s3prl upstream that returns the hidden states of an earbit model."""

    def __init__(
        self, ckpt: str | Path | None = None, model_config: str | None = None, **_: Any
    ) -> None:
        """Loads a model file or folder, or a preset with random weights.

        ckpt: its path or name;  model_config: not read, the model file has its configuration.
        Raises ConfigError or FormatError if there is no such model.
        """
        super().__init__()
        if ckpt is None:
            raise ConfigError("no model for the upstream; give its folder or a preset as ckpt (-k)")
        require_model(str(ckpt))
        self.model = preset_or_model(str(ckpt), 0)

    def get_downsample_rates(self, key: str) -> int:
        """Samples per frame of every kind of output: 320."""
        return HOP_SAMPLES

    def forward(
        self, wavs: Sequence[Tensor | NDArray[np.floating]]
    ) -> dict[str, Tensor | list[Tensor]]:
        """Hidden states, the encoder's input and the output of every layer, each (B, T, D).

        wavs: clips, tensors or arrays of numpy, float (samples,) at 16 kHz, without padding.  Clips
        of less than 25 ms are padded with zeros.  Padding never changes a result.  Frames behind a
        clip are undefined.  `last_hidden_state` is the output of the last layer.  Raises DataError
        for other clips.
        """
        if isinstance(wavs, (Tensor, np.ndarray)) and wavs.ndim == 1:
            raise DataError(f"one clip of shape {tuple(wavs.shape)}; give a list, as [clip]")
        device = next(self.model.parameters()).device
        clips = [
            torch.as_tensor(wav, device=device)
            for wav in wavs
            if isinstance(wav, (Tensor, np.ndarray)) and wav.dtype != np.object_
        ]
        if not clips or len(clips) < len(wavs) or any(wav.dim() != 1 for wav in clips):
            found = [tuple(w.shape) if hasattr(w, "shape") else type(w).__name__ for w in wavs]
            raise DataError(
                f"clips {shown(found)}; give at least one, each a tensor or an array (samples,)"
            )
        if not all(wav.is_floating_point() for wav in clips):
            raise DataError(f"clips of type {clips[0].dtype}; give float samples from -1 to 1")
        lengths = torch.tensor([max(len(wav), MIN_SAMPLES) for wav in clips])
        wave_BN = pad_sequence([wav.float() for wav in clips], batch_first=True)
        wave_BN = torch.nn.functional.pad(wave_BN, (0, int(lengths.max()) - wave_BN.shape[1]))
        is_padded = bool((lengths != lengths[0]).any())
        states = self.model(wave_BN, lengths if is_padded else None).states
        # s3prl requires a list or a tuple, and takes its last item as the features by default.
        return {"hidden_states": list(states), "last_hidden_state": states[-1]}


def earbit_local(ckpt: str, *args: Any, **more: Any) -> UpstreamExpert:
    """Entry point: an upstream of the model at the path `ckpt`."""
    return UpstreamExpert(ckpt, *args, **more)


def add_to(hub: Any) -> None:
    """Adds the entry point to the module `s3prl.hub`, where the runner looks for `-u NAME`."""
    hub.earbit_local = earbit_local
