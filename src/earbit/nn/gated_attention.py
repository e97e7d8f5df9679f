"""Self-attention with a gated relative position bias (WavLM, arXiv 2110.13900, section 3.1).

Letters: B batch, T frames, D width, H heads, K head width, R = 2T - 1 distances.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import ConfigError, require_range
from earbit.nn.attention import SelfAttention

N_GATE_ROWS = 8
"""Outputs of the gate's projection: four for each of its two sigmoids, which sums them."""


def check_buckets(n_buckets: int, max_distance: int) -> None:
    """Raises ConfigError for buckets that the formula of WavLM is not defined for."""
    require_range(4, 2**16, n_buckets=n_buckets)
    if n_buckets % 2:
        raise ConfigError(f"n_buckets={n_buckets}; half are for later frames, give an even number")
    require_range(n_buckets // 4 + 1, 2**20, max_distance=max_distance)


class PositionBias(torch.nn.Module):
    """A learned bias of every bucket of distances and head, which all layers share.

    A bucket is one distance up to a quarter of `n_buckets`; from there on buckets widen with the
    logarithm, and the last holds all distances from `max_distance` frames on.  Earlier and later
    frames have buckets of their own.
    """

    def __init__(self, n_heads: int, n_buckets: int, max_distance: int) -> None:
        super().__init__()
        check_buckets(n_buckets, max_distance)
        self.max_distance = max_distance
        self.weight = torch.nn.Parameter(0.02 * torch.randn(n_buckets, n_heads))

    def forward(self, n_frames: int) -> Tensor:
        """The bias of query i and key j: (H, T, T)."""
        bias_HR = self.by_distance(n_frames)
        # Window s holds distances s - (T - 1), ..., s, so that row i is window T - 1 - i.
        return bias_HR.unfold(1, n_frames, 1).flip(1)

    def by_distance(self, n_frames: int) -> Tensor:
        """The bias of distances key - query = -(T - 1), ..., T - 1: (H, R)."""
        distance_R = torch.arange(1 - n_frames, n_frames, device=self.weight.device)
        return F.embedding(self._bucket(distance_R), self.weight).T

    def _bucket(self, distance_R: Tensor) -> Tensor:
        n_half = self.weight.shape[0] // 2
        n_exact = n_half // 2
        size_R = distance_R.abs()
        # At the border of two buckets, only this order of float32 operations gives the bucket that
        # the weights were trained with.
        ratio_R = torch.log(size_R.clamp_min(1).float() / n_exact)
        ratio_R = ratio_R / math.log(self.max_distance / n_exact) * (n_half - n_exact)
        far_R = (n_exact + ratio_R).long().clamp_max(n_half - 1)
        return torch.where(size_R < n_exact, size_R, far_R) + n_half * (distance_R > 0).long()


class PositionGate(torch.nn.Module):
    """Factor of the position bias for every frame and head: (B, T, D) -> (B, H, T).

    `g1 (g2 c - 1) + 2`, with two sigmoids g1 and g2 of a projection that heads share, and a
    constant c of every head.  It stays in float, at 2 D products per frame.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(0.02 * torch.randn(N_GATE_ROWS, d_model // n_heads))
        self.bias = torch.nn.Parameter(torch.zeros(N_GATE_ROWS))
        self.constant = torch.nn.Parameter(torch.ones(n_heads))

    def forward(self, x_BTD: Tensor) -> Tensor:
        n_batch, n_frames, _ = x_BTD.shape
        x_BTHK = x_BTD.reshape(n_batch, n_frames, len(self.constant), -1)
        weight, bias = self.folded()
        # Not a product of leaves, which plans would quantize.
        sums_BTH2 = (x_BTHK[..., None, :] * weight).sum(-1) + bias
        first_BTH, second_BTH = sums_BTH2.sigmoid().unbind(-1)
        return (first_BTH * (second_BTH * self.constant - 1) + 2).transpose(1, 2)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (2, K) and bias (2,) of the two sums of four projections each."""
        weight = self.weight.view(2, N_GATE_ROWS // 2, -1).sum(1)
        return weight, self.bias.view(2, N_GATE_ROWS // 2).sum(1)


class GatedAttention(SelfAttention):
    """Full self-attention with gated position bias in the scores: (B, T, D) -> (B, T, D).

    `score(i, j) = q_i k_j / sqrt(K) + gate_i * bias(j - i)`, where the gate reads the input.
    """

    def __init__(
        self, d_model: int, n_heads: int, dropout: float, position_bias: PositionBias
    ) -> None:
        super().__init__(d_model, n_heads, dropout)
        self.gate = PositionGate(d_model, n_heads)
        # In a tuple, because the encoder owns it and the tensors of a model are listed once.
        self._shared = (position_bias,)

    @property
    def position_bias(self) -> PositionBias:
        """The bias that all layers of the encoder share."""
        return self._shared[0]

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        q_BHTK = self._split_heads(self.q_proj(x_BTD) * self.q_scale)
        k_BHTK = self._split_heads(self.k_proj(x_BTD))
        v_BHTK = self._split_heads(self.v_proj(x_BTD))
        bias_BHTS = self.gate(x_BTD)[..., None] * self.position_bias(x_BTD.shape[1])
        context_BHTK = self._attend_to_all(q_BHTK, k_BHTK, v_BHTK, lengths, bias_BHTS)
        y_BTD: Tensor = self.out_proj(context_BHTK.transpose(1, 2).flatten(2))
        return y_BTD
