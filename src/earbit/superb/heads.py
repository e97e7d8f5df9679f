"""Small heads on frozen features.

Letters: L hidden states, B batch, T frames, D width, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from earbit.errors import ConfigError
from earbit.nn.leaves import Linear
from earbit.nn.lengths import length_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadShape:
    """Sizes that follow from the model and the labels."""

    n_states: int
    """Hidden states of the model, the encoder's input included."""
    width: int
    n_outputs: int

    def __post_init__(self) -> None:
        if min(self.n_states, self.width, self.n_outputs) < 1:
            raise ConfigError(f"{self}; every size of a head is at least 1")


class WeightedSum(torch.nn.Module):
    """Mixes hidden states by learned weights: (L, B, T, D) -> (B, T, D), softmax(w)_l * h_l.

    The weights begin equal.  Source: SUPERB, arXiv 2105.01051, section on the weighted sum.
    """

    def __init__(self, n_states: int) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(n_states))

    def forward(self, states_LBTD: Tensor) -> Tensor:
        # States come first so that this is one matrix-vector product without a copy.
        weights_L = torch.softmax(self.logits, dim=0)
        return (weights_L @ states_LBTD.flatten(1)).view(states_LBTD.shape[1:])

    def shares(self) -> list[float]:
        """What every hidden state contributes; they sum to 1."""
        return torch.softmax(self.logits.detach().double(), dim=0).tolist()


class Head(torch.nn.Module):
    """Maps states (L, B, T, D) and lengths (B,) in frames to (B, C) or (B, T, C)."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        self.layers = WeightedSum(shape.n_states)


class MeanPoolLinear(Head):
    """Weighted sum, linear, mean over the real frames, linear; nothing nonlinear in between.

    Gives (B, C).  Source: SUPERB, arXiv 2105.01051 (keyword, intent, speaker and emotion tasks).
    """

    D_PROJECTION = 256

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.projection = Linear(shape.width, self.D_PROJECTION)
        self.output = Linear(self.D_PROJECTION, shape.n_outputs)

    def forward(self, states_LBTD: Tensor, lengths: Tensor) -> Tensor:
        x_BTD = self.projection(self.layers(states_LBTD))
        real_BT = length_mask(lengths, x_BTD.shape[1])
        # Not a product with the mask: what stands in the padding may be anything, NaN included.
        sums_BD = x_BTD.masked_fill(~real_BT[..., None], 0.0).sum(1)
        y_BC: Tensor = self.output(sums_BD / lengths[:, None])
        return y_BC
