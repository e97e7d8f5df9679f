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
    n_frames: int,
    left_frames: int,
    right_frames: int,
    first: int = 0,
    n_queries: int | None = None,
) -> int:
    """Pairs (query, key) with query - left <= key <= query + right among `n_frames` frames.

    first, n_queries: count the queries first, ..., first + n_queries - 1 only.
    """
    end = n_frames if n_queries is None else first + n_queries

    def at_edge(n: int, reach: int) -> int:
        """Number of pairs of the `n` frames next to an end with keys on the side of that end."""
        n_edge = min(n, reach + 1)
        return n_edge * (n_edge - 1) // 2 + (n - n_edge) * reach

    n_earlier = at_edge(end, left_frames) - at_edge(first, left_frames)
    n_later = at_edge(n_frames - first, right_frames) - at_edge(n_frames - end, right_frames)
    return end - first + n_earlier + n_later


class WindowAttention(SelfAttention):
    """Each frame attends to itself, `left_frames` real frames before and `right_frames` after it.

    right_frames: None is as many as on the left.  A block of queries is multiplied with its own
    keys and a margin on both sides, so the matrices have T rows and a constant number of columns
    (arXiv 1904.10509, the local part, bidirectional).
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        dropout: float,
        left_frames: int,
        right_frames: int | None = None,
    ) -> None:
        super().__init__(d_model, n_heads, dropout)
        right_frames = left_frames if right_frames is None else right_frames
        if min(left_frames, right_frames) < 0:
            raise ConfigError(
                f"left_frames={left_frames}, right_frames={right_frames}; the smallest window is "
                "0 frames on each side"
            )
        self.left_frames, self.right_frames = left_frames, right_frames

    def attend(self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None) -> Tensor:
        """Softmax attention over the window; q, k, v and the result are (B, H, T, K)."""
        n_frames = q.shape[-2]
        if n_frames <= LONG_FRAMES or not torch.is_grad_enabled():
            return self._attend_from(0, q, k, v, n_frames=n_frames, lengths=lengths)
        left, right, block = self._sizes(n_frames)
        context: Tensor = attend_in_chunks(
            partial(self._attend_from, n_frames=n_frames, lengths=lengths),
            q,
            k,
            v,
            (*self.scores.parameters(), *self.context.parameters()),
            block_frames=block,
            chunk_blocks=-(-CHUNK_FRAMES // block),
            margin_frames=(left, right),
        )
        return context

    def _sizes(self, n_frames: int) -> tuple[int, int, int]:
        """Both sides of the window and queries per block, limited by the number of frames."""
        left, right = min(self.left_frames, n_frames - 1), min(self.right_frames, n_frames - 1)
        return left, right, min(max(left + right, MIN_BLOCK_FRAMES), n_frames)

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

        k, v: of the same frames and the margins around them, as far as there are frames;
        n_frames: of the whole sequence, beyond which nothing is real.
        """
        n_queries, (left, right, block) = q.shape[-2], self._sizes(n_frames)
        n_blocks = -(-n_queries // block)
        tail = n_blocks * block - n_queries
        # Number of frames of the margin that are outside of the sequence.
        before = max(0, left - first)
        after = n_queries + left + right - before - k.shape[-2]

        q_BHMQK = F.pad(q, (0, 0, 0, tail)).unfold(-2, block, block).transpose(-1, -2)
        k_BHMKS, v_BHMKS = (
            F.pad(x, (0, 0, before, after + tail)).unfold(-2, left + block + right, block)
            for x in (k, v)
        )
        end = torch.full((1,), n_frames, device=q.device) if lengths is None else lengths
        allowed = _allowed_keys(n_blocks, block, (left, right), first, end)
        if is_fusable(self.scores) and is_fusable(self.context):
            fused_BHMQK = self._fused(q_BHMQK, k_BHMKS, v_BHMKS, allowed)
            return fused_BHMQK.flatten(-3, -2)[..., :n_queries, :]
        is_query = _real_queries(n_blocks, block, first, end)
        # Each frame is a key of its own block and, once more, of its neighbours' margins.
        is_own_key = F.pad(is_query, (left, right))
        n_pairs = window_pairs(n_frames, left, right, first, n_queries)
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
        # Under autocast a softmax is float32, and the next product is not.
        p_BHMQS = p_BHMQS.masked_fill(~allowed, 0.0).to(v_BHMKS.dtype)
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


def _allowed_keys(
    n_blocks: int, block: int, window: tuple[int, int], first: int, end: Tensor
) -> Tensor:
    """Mask of real keys inside the query's window: (B or 1, 1, M, Q, S)."""
    left, right = window
    query_Q = torch.arange(block, device=end.device)
    key_S = torch.arange(-left, block + right, device=end.device)
    distance_QS = key_S - query_Q[:, None]
    band_QS = (distance_QS >= -left) & (distance_QS <= right)
    block_M1 = torch.arange(n_blocks, device=end.device)[:, None]
    frame_MS = first + block_M1 * block + key_S
    real_BMS = (frame_MS >= 0) & (frame_MS < end[:, None, None])
    return band_QS & real_BMS[:, None, :, None, :]
