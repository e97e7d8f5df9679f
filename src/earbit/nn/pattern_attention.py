"""Fixed and strided sparse attention of Child et al. (arXiv 1904.10509), without causal masks.

Both have near keys, in blocks around a query, and far keys, across the whole audio.  Each part is
computed as dense products of blocks, so time and memory are proportional to the pattern.
Letters: B batch, H heads, T frames, K head width, M blocks, L frames of a block, N near keys of a
query, F far keys of a query.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import require_range
from earbit.nn.attention import SelfAttention
from earbit.nn.leaves import MatMul
from earbit.nn.window_attention import window_pairs

Heads = Literal["merged", "split"]
"""`merged`: all heads have near and far keys in one softmax; `split`: half of the heads each."""


class PatternAttention(SelfAttention):
    """Attention of every frame to near and far keys, which a subclass defines.

    The far products are separate leaves, so quantizers give them separate scales.
    """

    def __init__(
        self, d_model: int, n_heads: int, dropout: float, *, stride: int, heads: Heads
    ) -> None:
        super().__init__(d_model, n_heads, dropout)
        if heads == "split":
            require_range(2, 2**20, n_heads=n_heads)
        self.stride = stride
        self.heads = heads
        self.far_scores = MatMul()
        self.far_context = MatMul(left_set="unsigned")

    @abstractmethod
    def near_keys(self, x_BHMLK: Tensor) -> Tensor:
        """Near keys or values of the queries of every block: (B, H, M, N, K)."""

    @abstractmethod
    def far_operands(self, q_BHMLK: Tensor, k_BHMLK: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (or probabilities) and keys (or values) in the layout of the far products."""

    @abstractmethod
    def from_far(self, y: Tensor, n_blocks: int) -> Tensor:
        """Result of a far product in the layout of blocks and queries: (B, H, M, L, ...)."""

    @abstractmethod
    def near_pairs(self, n_blocks: int, length: int, device: torch.device) -> Tensor:
        """Mask of near keys in the pattern: (M, L, N)."""

    @abstractmethod
    def far_pairs(self, n_blocks: int, length: int, device: torch.device) -> Tensor:
        """Mask of far keys in the pattern that, in merged heads, are not near: (M, L, F)."""

    @abstractmethod
    def n_pairs(self, n_frames: int) -> tuple[int, int]:
        """Numbers of near and far pairs of `n_frames` frames, for the cost profile."""

    @abstractmethod
    def own_keys(self, is_frame_BMLK: Tensor) -> Tensor:
        """Mask of the near keys that lie in the block itself, each frame once: (B, 1, M, N, 1)."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None) -> Tensor:
        """Softmax attention over the pattern; q, k, v and the result are (B, H, T, K).

        A query without keys gets zeros.
        """
        n_frames = q.shape[-2]
        # Audio shorter than a block is one block.
        length = min(self.stride, n_frames)
        tail = -n_frames % length
        q, k, v = (_in_blocks(F.pad(x, (0, 0, 0, tail)), length) for x in (q, k, v))
        n_blocks = q.shape[2]
        frame_ML = torch.arange(n_blocks * length, device=q.device).view(n_blocks, length)
        end = torch.full((1,), n_frames, device=q.device) if lengths is None else lengths
        # Head and width axes of size 1, to match the layout of queries and keys.
        is_frame = (frame_ML < end[:, None, None])[:, None, ..., None]
        near, far = slice(None), slice(None)
        if self.heads == "split":
            half = q.shape[1] // 2
            near, far = slice(None, half), slice(half, None)
        near_allowed = self._near_allowed(is_frame, n_blocks)
        far_allowed = self._far_allowed(is_frame, n_blocks)
        n_near, n_far = self.n_pairs(n_frames)

        near_scores = self.scores(
            q[:, near],
            self.near_keys(k[:, near]).transpose(-1, -2),
            n_pairs=n_near,
            real=(is_frame, self.own_keys(is_frame).transpose(-1, -2)),
        )
        left, right = self.far_operands(q[:, far], k[:, far])
        real_left, real_right = self.far_operands(is_frame, is_frame)
        far_scores = self.from_far(
            self.far_scores(
                left,
                right.transpose(-1, -2),
                n_pairs=n_far,
                real=(real_left, real_right.transpose(-1, -2)),
            ),
            n_blocks,
        )
        near_shares, far_shares = self._shares(near_scores, far_scores, near_allowed, far_allowed)
        near_context = self.context(
            near_shares,
            self.near_keys(v[:, near]),
            n_pairs=n_near,
            real=(near_allowed & is_frame, self.own_keys(is_frame)),
        )
        left, right = self.far_operands(far_shares, v[:, far])
        real_left, _ = self.far_operands(far_allowed & is_frame, is_frame)
        far_context = self.from_far(
            self.far_context(left, right, n_pairs=n_far, real=(real_left, real_right)), n_blocks
        )
        if self.heads == "split":
            context = torch.cat([near_context, far_context], 1)
        else:
            context = near_context + far_context
        return context.flatten(2, 3)[..., :n_frames, :]

    def _near_allowed(self, is_frame: Tensor, n_blocks: int) -> Tensor:
        """Mask of allowed near keys: (B or 1, 1, M, L, N)."""
        is_key = self.near_keys(is_frame).transpose(-1, -2)
        return is_key & self.near_pairs(n_blocks, is_frame.shape[3], is_frame.device)

    def _far_allowed(self, is_frame: Tensor, n_blocks: int) -> Tensor:
        """Mask of allowed far keys: (B or 1, 1, M, L, F)."""
        left, right = self.far_operands(torch.ones_like(is_frame), is_frame)
        is_key = self.from_far(left & right.transpose(-1, -2), n_blocks)
        return is_key & self.far_pairs(n_blocks, is_frame.shape[3], is_frame.device)

    def _shares(
        self, near: Tensor, far: Tensor, near_allowed: Tensor, far_allowed: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.heads == "split":
            return self._softmax(near, near_allowed), self._softmax(far, far_allowed)
        allowed = torch.cat([near_allowed.expand(*far_allowed.shape[:-1], -1), far_allowed], dim=-1)
        shares = self._softmax(torch.cat([near, far], -1), allowed)
        return shares[..., : near.shape[-1]], shares[..., near.shape[-1] :]

    def _softmax(self, scores: Tensor, allowed: Tensor) -> Tensor:
        # A finite floor, then zeros: rows without keys must be zero, not NaN.
        floor = torch.finfo(scores.dtype).min
        shares = scores.masked_fill(~allowed, floor).softmax(-1).masked_fill(~allowed, 0.0)
        dropped: Tensor = self.dropout(shares)
        return dropped


def _in_blocks(x_BHTK: Tensor, length: int) -> Tensor:
    """Splits frames into blocks: (B, H, T, K) -> (B, H, M, L, K)."""
    n_batch, n_heads, n_frames, width = x_BHTK.shape
    return x_BHTK.reshape(n_batch, n_heads, n_frames // length, length, width)


class FixedAttention(PatternAttention):
    """Fixed pattern: near keys in the same block, far keys at the end of every block.

    expressivity: number of far keys per block, its last frames.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        dropout: float,
        *,
        stride: int,
        expressivity: int,
        heads: Heads,
    ) -> None:
        super().__init__(d_model, n_heads, dropout, stride=stride, heads=heads)
        self.expressivity = expressivity

    def near_keys(self, x_BHMLK: Tensor) -> Tensor:
        return x_BHMLK

    def own_keys(self, is_frame_BMLK: Tensor) -> Tensor:
        return is_frame_BMLK

    def far_operands(self, q_BHMLK: Tensor, k_BHMLK: Tensor) -> tuple[Tensor, Tensor]:
        first = self.stride - self.expressivity
        return q_BHMLK.flatten(2, 3), k_BHMLK[..., first:, :].flatten(2, 3)

    def from_far(self, y: Tensor, n_blocks: int) -> Tensor:
        return _in_blocks(y, y.shape[2] // n_blocks)

    def near_pairs(self, n_blocks: int, length: int, device: torch.device) -> Tensor:
        return torch.ones(n_blocks, length, length, dtype=torch.bool, device=device)

    def far_pairs(self, n_blocks: int, length: int, device: torch.device) -> Tensor:
        block_M = torch.arange(n_blocks, device=device)
        is_other_MM = block_M[:, None] != block_M
        if self.heads == "split":
            is_other_MM = torch.ones_like(is_other_MM)
        n_far = max(0, length - (self.stride - self.expressivity))
        return is_other_MM.repeat_interleave(n_far, 1)[:, None].expand(-1, length, -1)

    def n_pairs(self, n_frames: int) -> tuple[int, int]:
        n_whole, rest = divmod(n_frames, self.stride)
        rest_summary = max(0, rest - (self.stride - self.expressivity))
        far = n_frames * (n_whole * self.expressivity + rest_summary)
        if self.heads == "merged":
            far -= n_whole * self.stride * self.expressivity + rest * rest_summary
        return n_whole * self.stride**2 + rest**2, far


class StridedAttention(PatternAttention):
    """Strided pattern: near keys up to `stride` frames away, far keys at its multiples."""

    def near_keys(self, x_BHMLK: Tensor) -> Tensor:
        # The previous, current and next block.
        around = F.pad(x_BHMLK, (0, 0, 0, 0, 1, 1))
        return torch.cat([around[:, :, :-2], x_BHMLK, around[:, :, 2:]], dim=-2)

    def own_keys(self, is_frame_BMLK: Tensor) -> Tensor:
        length = is_frame_BMLK.shape[3]
        return F.pad(is_frame_BMLK, (0, 0, length, length))

    def far_operands(self, q_BHMLK: Tensor, k_BHMLK: Tensor) -> tuple[Tensor, Tensor]:
        return q_BHMLK.transpose(2, 3), k_BHMLK.transpose(2, 3)

    def from_far(self, y: Tensor, n_blocks: int) -> Tensor:
        return y.transpose(2, 3)

    def near_pairs(self, n_blocks: int, length: int, device: torch.device) -> Tensor:
        query_L = torch.arange(length, device=device)
        key_N = torch.arange(-length, 2 * length, device=device)
        is_near_LN = (query_L[:, None] - key_N).abs() <= self.stride
        return is_near_LN.expand(n_blocks, -1, -1)

    def far_pairs(self, n_blocks: int, length: int, device: torch.device) -> Tensor:
        block_M = torch.arange(n_blocks, device=device)
        is_far_MM = (block_M[:, None] - block_M).abs() > 1
        if self.heads == "split":
            is_far_MM = torch.ones_like(is_far_MM)
        return is_far_MM[:, None].expand(-1, length, -1)

    def n_pairs(self, n_frames: int) -> tuple[int, int]:
        n_whole, rest = divmod(n_frames, self.stride)
        # Sizes of the phases; all frames of a phase are pairs.
        sizes = ((n_whole + 1, rest), (n_whole, self.stride - rest))
        far = sum(n_phases * size**2 for size, n_phases in sizes)
        if self.heads == "merged":
            far -= sum(n_phases * window_pairs(size, 1) for size, n_phases in sizes if size)
        return window_pairs(n_frames, self.stride), far
