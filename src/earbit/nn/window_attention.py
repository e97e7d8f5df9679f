"""Local attention, computed block by block: time and memory grow linearly with the frames.

Letters: B batch, H heads, K head width, M blocks, Q queries of a block, S keys of a block.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import ConfigError
from earbit.nn.attention import SelfAttention, is_fusable
from earbit.nn.chunks import attend_in_chunks
from earbit.nn.sparse_pattern import SparsePattern

MIN_BLOCK_FRAMES = 16
LONG_FRAMES = 1024
"""Longer sequences are trained in chunks; shorter ones are compiled as one graph."""
CHUNK_FRAMES = 256
"""Approximate number of queries per chunk, whose matrices fit into a cache."""


def window_pairs(
    n_frames: int, radius_frames: int, first: int = 0, n_queries: int | None = None
) -> int:
    """Pairs (query, key) with |query - key| <= radius among `n_frames` frames.

    first, n_queries: count the queries first, ..., first + n_queries - 1 only.
    """
    end = n_frames if n_queries is None else first + n_queries

    def earlier(n: int) -> int:
        """Number of pairs of the first `n` frames with earlier keys."""
        n_edge = min(n, radius_frames + 1)
        return n_edge * (n_edge - 1) // 2 + (n - n_edge) * radius_frames

    n_later = earlier(n_frames - first) - earlier(n_frames - end)
    return end - first + earlier(end) - earlier(first) + n_later


class WindowAttention(SelfAttention):
    """Each frame attends to itself and to real frames at most `window_frames // 2` away.

    A block of queries is multiplied with its own keys and a margin on both sides, so the matrices
    have T rows and a constant number of columns (arXiv 1904.10509, the local part, bidirectional).
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float, window_frames: int) -> None:
        super().__init__(d_model, n_heads, dropout)
        if window_frames < 1:
            raise ConfigError(f"window_frames={window_frames}; the smallest window is 1 frame")
        self.radius_frames = window_frames // 2

    def attend(self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None) -> Tensor:
        """Softmax attention over the window; q, k, v and the result are (B, H, T, K)."""
        n_frames = q.shape[-2]
        if n_frames <= LONG_FRAMES or not torch.is_grad_enabled():
            return self._attend_from(0, q, k, v, n_frames=n_frames, lengths=lengths)
        radius, block = self._sizes(n_frames)
        context: Tensor = attend_in_chunks(
            partial(self._attend_from, n_frames=n_frames, lengths=lengths),
            q,
            k,
            v,
            (*self.scores.parameters(), *self.context.parameters()),
            block_frames=block,
            chunk_blocks=-(-CHUNK_FRAMES // block),
            margin_frames=radius,
        )
        return context

    def _sizes(self, n_frames: int) -> tuple[int, int]:
        """Radius of the window and queries per block, both limited by the number of frames."""
        radius = min(self.radius_frames, n_frames - 1)
        return radius, min(max(2 * radius, MIN_BLOCK_FRAMES), n_frames)

    def _attend_from(
        self,
        first: int,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        n_frames: int,
        lengths: Tensor | None,
    ) -> Tensor:
        """The context of queries that start at frame `first`.

        k, v: of the same frames and a radius around them, as far as there are frames;  n_frames:
        of the whole sequence, beyond which nothing is real.
        """
        n_queries, (radius, block) = q.shape[-2], self._sizes(n_frames)
        n_blocks = -(-n_queries // block)
        tail = n_blocks * block - n_queries
        # Number of frames of the margin that are outside of the sequence.
        before = max(0, radius - first)
        after = n_queries + 2 * radius - before - k.shape[-2]

        q_BHMQK = F.pad(q, (0, 0, 0, tail)).unfold(-2, block, block).transpose(-1, -2)
        k_BHMKS, v_BHMKS = (
            F.pad(x, (0, 0, before, after + tail)).unfold(-2, block + 2 * radius, block)
            for x in (k, v)
        )
        end = torch.full((1,), n_frames, device=q.device) if lengths is None else lengths
        allowed = _allowed_keys(n_blocks, block, radius, first, end)
        if is_fusable(self.scores) and is_fusable(self.context):
            fused_BHMQK = self._fused(q_BHMQK, k_BHMKS, v_BHMKS, allowed)
            return fused_BHMQK.flatten(-3, -2)[..., :n_queries, :]
        is_query = _real_queries(n_blocks, block, first, end)
        # Each frame is a key of its own block and, once more, of its neighbours' margins.
        is_own_key = F.pad(is_query, (radius, radius))
        n_pairs = window_pairs(n_frames, radius, first, n_queries)
        of_scores = SparsePattern(
            n_pairs=n_pairs,
            is_left_sparse=False,
            left=is_query[..., None],
            right=is_own_key[..., None, :],
        )
        of_context = SparsePattern(
            n_pairs=n_pairs,
            is_left_sparse=True,
            left=allowed & is_query[..., None],
            right=is_own_key[..., None],
        )
        with self.scores.on(of_scores):
            scores_BHMQS = self.scores(q_BHMQK, k_BHMKS)
        # A finite minimum, because padding rows of the last block have no key and must not be NaN.
        floor = torch.finfo(scores_BHMQS.dtype).min
        p_BHMQS = scores_BHMQS.masked_fill(~allowed, floor).softmax(-1)
        # Rows without any key are uniform; they are removed below.
        p_BHMQS = p_BHMQS.masked_fill(~allowed, 0.0)
        with self.context.on(of_context):
            context: Tensor = self.context(self.dropout(p_BHMQS), v_BHMKS.transpose(-1, -2))
        return context.flatten(-3, -2)[..., :n_queries, :]

    def _fused(self, q_BHMQK: Tensor, k_BHMKS: Tensor, v_BHMKS: Tensor, allowed: Tensor) -> Tensor:
        """The context of blocks, from PyTorch's fused kernel for four dimensions.

        allowed: (B or 1, 1, M, Q, S);  returns (B, H, M, Q, K).
        """
        n_batch, _, n_blocks = q_BHMQK.shape[:3]
        mask = allowed.expand(n_batch, -1, -1, -1, -1)
        q, k, v, mask = (
            x.transpose(1, 2).flatten(0, 1) for x in (q_BHMQK, k_BHMKS.mT, v_BHMKS.mT, mask)
        )
        dropout = self.dropout.p if self.training else 0.0
        context = F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=1.0)
        # Sets rows without a key to zero, because the kernel's result for them is undefined.
        context = context.masked_fill(~mask.any(-1, keepdim=True), 0.0)
        return context.view(n_batch, n_blocks, *context.shape[1:]).transpose(1, 2)


def _real_queries(n_blocks: int, block: int, first: int, end: Tensor) -> Tensor:
    """Mask of queries of a block that are real frames: (B or 1, 1, M, Q)."""
    frame = torch.arange(first, first + n_blocks * block, device=end.device)
    return (frame.view(n_blocks, block) < end[:, None, None])[:, None]


def _allowed_keys(n_blocks: int, block: int, radius: int, first: int, end: Tensor) -> Tensor:
    """Mask of real keys inside the query's window: (B or 1, 1, M, Q, S)."""
    query_Q = torch.arange(block, device=end.device)
    key_S = torch.arange(-radius, block + radius, device=end.device)
    band_QS = (query_Q[:, None] - key_S).abs() <= radius
    block_M1 = torch.arange(n_blocks, device=end.device)[:, None]
    frame_MS = first + block_M1 * block + key_S
    real_BMS = (frame_MS >= 0) & (frame_MS < end[:, None, None])
    return band_QS & real_BMS[:, None, :, None, :]
