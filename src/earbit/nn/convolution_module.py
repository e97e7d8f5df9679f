"""Convolution modules of the Conformer (gated) and the Squeezeformer (ungated).

Letters: B batch, T frames, D width, E width inside the module.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import ConfigError, require_count
from earbit.nn.leaves import Conv1d, Linear
from earbit.nn.norms import FrameBatchNorm
from earbit.nn.roles import Role


def check_kernel(kernel: int) -> None:
    """Raises ConfigError with the next odd size if the kernel size is even."""
    require_count(conv_kernel=kernel)
    if kernel % 2 == 0:
        raise ConfigError(
            f"conv_kernel={kernel} is even, so a frame would not be in its middle; "
            f"the next that fits is {kernel + 1}"
        )


class GatedConvolution(torch.nn.Module):
    """Pointwise to 2D, GLU, depthwise, batch norm, swish, pointwise: (B, T, D) -> (B, T, D).

    Source: Conformer, arXiv 2005.08100, figure 2.
    """

    role: Role = "convolution"

    def __init__(self, d_model: int, kernel: int) -> None:
        super().__init__()
        self.expand = Linear(d_model, 2 * d_model)
        self.depthwise = Conv1d(d_model, d_model, kernel, padding=kernel // 2, groups=d_model)
        self.norm = FrameBatchNorm(d_model)
        self.project = Linear(d_model, d_model, input_activation="silu")

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        gated_BDT = F.glu(self.expand(x_BTD), dim=-1).transpose(1, 2)
        mixed_BDT = self.norm(self.depthwise(gated_BDT, lengths), lengths)
        # Contiguous, because torch.compile takes the result of a quantizer for that.
        y_BTD: Tensor = self.project(mixed_BDT.transpose(1, 2).contiguous())
        return y_BTD


class UngatedConvolution(torch.nn.Module):
    """Pointwise to 2D, swish, depthwise on 2D, batch norm, swish, pointwise: (B, T, D) -> same.

    Source: Squeezeformer, arXiv 2206.00888, section 3.2.
    """

    role: Role = "convolution"

    def __init__(self, d_model: int, kernel: int) -> None:
        super().__init__()
        d_inner = 2 * d_model
        self.expand = Linear(d_model, d_inner)
        self.depthwise = Conv1d(
            d_inner,
            d_inner,
            kernel,
            padding=kernel // 2,
            groups=d_inner,
            input_activation="silu",
        )
        self.norm = FrameBatchNorm(d_inner)
        self.project = Linear(d_inner, d_model, input_activation="silu")

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        x_BET = self.expand(x_BTD).transpose(1, 2)
        mixed_BET = self.norm(self.depthwise(x_BET, lengths), lengths)
        y_BTD: Tensor = self.project(mixed_BET.transpose(1, 2).contiguous())
        return y_BTD
