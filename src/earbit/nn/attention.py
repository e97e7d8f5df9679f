"""Multi-head self-attention with both products as leaves, so they can be quantized.

Letters: B batch, T query frames, S key frames, D width, H heads, K head width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules import module

from earbit.errors import ConfigError, require_count
from earbit.nn.leaves import Linear, MatMul
from earbit.nn.lengths import length_mask
from earbit.nn.roles import Role


def check_heads(d_model: int, n_heads: int) -> None:
    """Raises ConfigError with the nearest valid width if the heads do not divide the width."""
    require_count(d_model=d_model, n_heads=n_heads)
    if d_model % n_heads:
        raise ConfigError(
            f"d_model={d_model} is not a multiple of n_heads={n_heads}; "
            f"{nearest_multiple(d_model, n_heads)}"
        )


def nearest_multiple(value: int, step: int) -> str:
    """Error message suffix with the multiple of `step` nearest to `value`."""
    return f"the nearest that fits is {max(1, round(value / step)) * step}"


def is_fusable(product: MatMul) -> bool:
    """Whether a product may run in a fused kernel: both operands are float, and no hook sees it."""
    hooks = (
        module._global_forward_pre_hooks,
        module._global_forward_hooks,
        module._global_backward_pre_hooks,
        module._global_backward_hooks,
        product._forward_pre_hooks,
        product._forward_hooks,
        product._backward_pre_hooks,
        product._backward_hooks,
    )
    return product.precision.is_float and not any(hooks)


def _masked(scores_BHTS: Tensor, is_key_B11S: Tensor | None) -> Tensor:
    """Sets the scores of padding keys to -inf."""
    if is_key_B11S is None:
        return scores_BHTS
    return scores_BHTS.masked_fill(~is_key_B11S, float("-inf"))


class SelfAttention(torch.nn.Module):
    """Full self-attention over the real frames: (B, T, D) -> (B, T, D).

    Scores are `q k^T / sqrt(K)`, with q scaled after its bias is added, as in HuBERT.
    """

    role: Role = "attention"

    def __init__(self, d_model: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        check_heads(d_model, n_heads)
        self.n_heads = n_heads
        self.q_scale = (d_model // n_heads) ** -0.5
        self.q_proj = Linear(d_model, d_model)
        self.k_proj = Linear(d_model, d_model)
        self.v_proj = Linear(d_model, d_model)
        self.scores = MatMul()
        self.context = MatMul(left_set="unsigned")
        self.out_proj = Linear(d_model, d_model)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor, lengths: Tensor | None = None) -> Tensor:
        q_BHTK = self._split_heads(self.q_proj(x_BTD) * self.q_scale)
        k_BHTK = self._split_heads(self.k_proj(x_BTD))
        v_BHTK = self._split_heads(self.v_proj(x_BTD))
        context_BHTK = self.attend(q_BHTK, k_BHTK, v_BHTK, lengths)
        y_BTD: Tensor = self.out_proj(context_BHTK.transpose(1, 2).flatten(2))
        return y_BTD

    def attend(self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None) -> Tensor:
        """Softmax attention over all real frames; q, k, v and the result are (B, H, T, K)."""
        return self._attend_to_all(q, k, v, lengths)

    def _attend_to_all(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        lengths: Tensor | None,
        bias_BHTS: Tensor | None = None,
    ) -> Tensor:
        """Softmax attention over all real frames, with `bias_BHTS` added to the scores.

        Uses the fused kernel of PyTorch if both products are float and have no hooks.
        """
        is_key_B11S = None
        if lengths is not None:
            is_key_B11S = length_mask(lengths, v.shape[-2])[:, None, None, :]
        if is_fusable(self.scores) and is_fusable(self.context):
            mask = is_key_B11S
            if bias_BHTS is not None:
                mask = _masked(bias_BHTS, is_key_B11S)
            dropout = self.dropout.p if self.training else 0.0
            return F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=1.0)
        scores_BHTS = self.scores(q, k.transpose(-1, -2))
        if bias_BHTS is not None:
            scores_BHTS = scores_BHTS + bias_BHTS
        # Under autocast a softmax is float32, and the next product is not.
        p_BHTS = _masked(scores_BHTS, is_key_B11S).softmax(-1).to(v.dtype)
        context_BHTK: Tensor = self.context(self.dropout(p_BHTS), v)
        return context_BHTK

    def _split_heads(self, x_BTD: Tensor) -> Tensor:
        n_batch, n_frames, _ = x_BTD.shape
        return x_BTD.reshape(n_batch, n_frames, self.n_heads, -1).transpose(1, 2)
