"""Convolutional front end: raw 16 kHz audio to one vector per 20 ms (wav2vec 2.0, HuBERT).

Letters: B batch, N samples, C channels, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import require_choice, require_count
from earbit.frames import KERNELS, STRIDES, layer_lengths
from earbit.nn.leaves import Conv1d
from earbit.nn.norms import ChannelNorm, FrameBatchNorm, FrameNorm
from earbit.nn.roles import Role

FrontEndNorm = Literal["channel", "layer", "batch"]
"""Normalisation of the front end.

`channel` (HuBERT Base, `default` in fairseq): each channel over time, after the first convolution.
`layer` (Large, `layer_norm` in fairseq): each frame over its channels, after every convolution.
`batch` (not in HuBERT, for low precision): `channel`, and batch norm after convolutions 2 to 7,
which folds into the scale and bias of the convolution for inference.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontEndConfig:
    """Settings of the seven convolutions, which have no padding, and their norms."""

    n_channels: int = 512
    norm: FrontEndNorm = "channel"
    conv_bias: bool = False
    shortcut: bool = False
    """Whether convolutions 2 to 7 add the mean of their input frames to their output.

    This is the full-precision shortcut of binary networks (Bi-Real Net, arXiv 1808.00278).
    """

    def __post_init__(self) -> None:
        require_count(n_channels=self.n_channels)
        require_choice(get_args(FrontEndNorm), norm=self.norm)


class FrontEnd(torch.nn.Module):
    """Waveform (B, N) with lengths (B,) in samples -> (B, C, T)."""

    role: Role = "front_end"

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__()
        n_inputs = (1, *[config.n_channels] * 6)
        self.convs = torch.nn.ModuleList(
            Conv1d(
                n_in,
                config.n_channels,
                kernel,
                stride=stride,
                bias=config.conv_bias,
                input_activation="gelu" if i else "none",
            )
            for i, (n_in, kernel, stride) in enumerate(zip(n_inputs, KERNELS, STRIDES, strict=True))
        )
        for conv in self.convs:
            assert isinstance(conv, Conv1d)
            torch.nn.init.kaiming_normal_(conv.weight)
        n_channels = config.n_channels
        self.norms: torch.nn.ModuleList
        match config.norm:
            case "channel":
                self.norms = torch.nn.ModuleList([ChannelNorm(n_channels)])
            case "layer":
                self.norms = torch.nn.ModuleList(FrameNorm(n_channels) for _ in KERNELS)
            case "batch":
                self.norms = torch.nn.ModuleList(
                    FrameBatchNorm(n_channels) if i else ChannelNorm(n_channels)
                    for i in range(len(KERNELS))
                )
        self.has_shortcut = config.shortcut

    def forward(self, wave_BN: Tensor, lengths: Tensor | None = None) -> Tensor:
        of_layers = [None] * len(KERNELS) if lengths is None else layer_lengths(lengths)
        x_BCT = self.norms[0](self.convs[0](wave_BN[:, None, :]), of_layers[0])
        for i, conv in enumerate(self.convs[1:], start=1):
            y_BCT = conv(x_BCT)
            if i < len(self.norms):
                y_BCT = self.norms[i](y_BCT, of_layers[i])
            if self.has_shortcut:
                y_BCT = y_BCT + F.avg_pool1d(x_BCT, KERNELS[i], STRIDES[i])
            x_BCT = y_BCT
        return F.gelu(x_BCT)
