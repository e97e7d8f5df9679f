"""Protocols of an encoder and its configuration."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class EncoderConfig(Protocol):
    """Configuration fields that other stages read; every encoder adds its own."""

    @property
    def n_layers(self) -> int: ...  # noqa: D102
    @property
    def d_model(self) -> int: ...  # noqa: D102


class Encoder(Protocol):
    """Stack of layers that returns its input and the output of every layer, each (B, T, D).

    It is a `torch.nn.Module`.  All hidden states have the frame rate of the input.
    """

    layers: torch.nn.ModuleList
    layer_drop: float
    """Probability of skipping a layer in training."""

    def __call__(self, x_BTD: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """Encodes a batch; lengths: number of real frames per row (B,), None without padding."""
        ...

    def layer_inputs(self, states: list[Tensor]) -> list[Tensor]:
        """Inputs of all layers at the frame rate of each layer, from hidden states (B, T, D)."""
        ...
