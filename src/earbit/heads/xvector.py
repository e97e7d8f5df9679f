"""The x-vector head: one vector per clip, trained to tell speakers apart.

Letters: L hidden states, B batch, T frames, D width, C speakers.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.heads.head import Head, HeadShape
from earbit.nn.leaves import Linear
from earbit.nn.lengths import length_mask

CONTEXTS = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))
"""Kernel size and dilation of the layers over time."""
POOLED_SHARE = 1_500 / 512
"""Width of the last layer over that of the others."""
VARIANCE_FLOOR = 1e-5


class XVector(Head):
    """Weighted sum, linear, five layers over time, mean and deviation, linear: (B, d_hidden).

    Clips shorter than the 15 frames of the context are padded with zeros.  Padding of a batch
    never enters the statistics; in s3prl one padded frame does.
    Source: SUPERB, arXiv 2105.01051 (speaker verification); Snyder et al. 2018, X-vectors.
    """

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        width = shape.d_hidden
        self.projection = Linear(shape.width, width)
        d_pooled = round(POOLED_SHARE * width)
        widths = (width,) * len(CONTEXTS) + (d_pooled,)
        self.context = torch.nn.ModuleList(
            torch.nn.Conv1d(d_in, d_out, kernel, dilation=dilation)
            for (d_in, d_out), (kernel, dilation) in zip(pairwise(widths), CONTEXTS, strict=True)
        )
        self.embedding = Linear(2 * d_pooled, width)
        self.second = Linear(width, width)
        self.speakers = torch.nn.Parameter(torch.empty(shape.n_outputs, width))
        torch.nn.init.xavier_normal_(self.speakers)

    def forward(self, states_LBTD: Tensor, lengths: Tensor) -> Tensor:
        x_BDT = self.projection(self.layers(states_LBTD)).transpose(1, 2)
        x_BDT = x_BDT.masked_fill(~length_mask(lengths, x_BDT.shape[2])[:, None], 0)
        lost = sum((kernel - 1) * dilation for kernel, dilation in CONTEXTS)
        if x_BDT.shape[2] <= lost:
            x_BDT = F.pad(x_BDT, (0, lost + 1 - x_BDT.shape[2]))
        for layer in self.context:
            x_BDT = F.relu(layer(x_BDT))
        real_BT = length_mask((lengths - lost).clamp(min=1), x_BDT.shape[2])
        return F.relu(self.embedding(_statistics(x_BDT, real_BT)))

    def cosines(self, embeddings_BD: Tensor) -> Tensor:
        """Cosine of every embedding with every training speaker: (B, C)."""
        directions_BD = F.normalize(F.relu(self.second(embeddings_BD)), dim=1)
        return directions_BD @ F.normalize(self.speakers, dim=1).T


def _statistics(x_BDT: Tensor, real_BT: Tensor) -> Tensor:
    """Mean and standard deviation over the real frames: (B, 2 D)."""
    weight_B1T = real_BT[:, None].to(x_BDT.dtype)
    n_B1 = weight_B1T.sum(2)
    mean_BD = (x_BDT * weight_B1T).sum(2) / n_B1
    squares_BD = ((x_BDT - mean_BD[:, :, None]) ** 2 * weight_B1T).sum(2)
    deviation_BD = (squares_BD / n_B1 + VARIANCE_FLOOR).sqrt()
    return torch.cat([mean_BD, deviation_BD], dim=1)
