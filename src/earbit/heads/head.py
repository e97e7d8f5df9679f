"""Base of all heads: a weighted sum of hidden states.

Letters: L hidden states, B batch, T frames, D width, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from earbit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadShape:
    """Sizes of a head, which follow from the model, the labels and the protocol."""

    n_states: int
    """Number of hidden states of the model, including the input of the encoder."""
    width: int
    n_outputs: int
    d_hidden: int = 256

    def __post_init__(self) -> None:
        if min(self.n_states, self.width, self.n_outputs, self.d_hidden) < 1:
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

    is_augmented = True
    """Whether training masks the features, in heads that do so."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        self.layers = WeightedSum(shape.n_states)
