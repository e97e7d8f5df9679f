"""The contract of an encoder and of its configuration."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class EncoderConfig(Protocol):
    """The fields that other stages read; an encoder's frozen dataclass adds its own."""

    @property
    def n_layers(self) -> int: ...  # noqa: D102
    @property
    def d_model(self) -> int: ...  # noqa: D102


class Encoder(Protocol):
    """A stack of layers over frames: (B, T, D) -> its input and the output of every layer.

    It is a `torch.nn.Module`.  All hidden states have the rate of the input.
    """

    layers: torch.nn.ModuleList
    layer_drop: float
    """Probability of skipping a layer in training."""

    def __call__(self, x_BTD: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """Encodes a batch; lengths: real frames of every row (B,), None without padding."""
        ...

    def layer_inputs(self, states: list[Tensor]) -> list[Tensor]:
        """The input of every layer at the layer's own rate, from the hidden states (B, T, D)."""
        ...
