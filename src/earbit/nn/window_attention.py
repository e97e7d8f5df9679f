"""Local attention, computed block by block: time and memory grow linearly with the frames.

Letters: B batch, H heads, K head width, M blocks, Q queries of a block, S keys of a block.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from earbit.errors import ConfigError
from earbit.nn.attention import SelfAttention

MIN_BLOCK_FRAMES = 16
CHUNK_FRAMES = 1024
"""Longer sequences are trained in chunks of about this, whose matrices are computed again in the
backward pass: kept, they would be three times the operands and would not fit into any cache."""


def window_pairs(n_frames: int, radius_frames: int) -> int:
    """Pairs (query, key) with |query - key| <= radius among `n_frames` frames."""
    radius = min(radius_frames, n_frames - 1)
    return n_frames * (2 * radius + 1) - radius * (radius + 1)


class WindowAttention(SelfAttention):
    """Each frame attends to the real frames at most `window_frames // 2` away, itself included.

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
        n_frames, block = q.shape[-2], self.block_frames
        chunk = -(-CHUNK_FRAMES // block) * block
        if n_frames <= chunk or not torch.is_grad_enabled():
            k, v = (F.pad(x, (0, 0, self.radius_frames, self.radius_frames)) for x in (k, v))
            return self._attend_from(0, n_frames, q, k, v, lengths)
        q_chunks, k_chunks, v_chunks = (torch.split(x, chunk, dim=-2) for x in (q, k, v))
        contexts = [
            checkpoint(
                self._attend_chunk,
                i * chunk,
                n_frames,
                q_chunk,
                k_chunks[max(0, i - 1) : i + 2],
                v_chunks[max(0, i - 1) : i + 2],
                lengths,
                use_reentrant=False,
            )
            for i, q_chunk in enumerate(q_chunks)
        ]
        return torch.cat(contexts, dim=-2)

    @property
    def block_frames(self) -> int:
        """Queries of a block."""
        return max(2 * self.radius_frames, MIN_BLOCK_FRAMES)

    def _attend_chunk(
        self,
        first: int,
        n_frames: int,
        q: Tensor,
        k_neighbours: tuple[Tensor, ...],
        v_neighbours: tuple[Tensor, ...],
        lengths: Tensor | None,
    ) -> Tensor:
        """`_attend_from` on a chunk, its keys and values among those of its neighbours."""
        end = first + q.shape[-2]
        k, v = (
            _with_margins(x, self.radius_frames, has_left=first > 0, has_right=end < n_frames)
            for x in (k_neighbours, v_neighbours)
        )
        return self._attend_from(first, n_frames, q, k, v, lengths)

    def _attend_from(
        self, first: int, n_frames: int, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None
    ) -> Tensor:
        """The context of queries from frame `first` on; k and v have a margin on both sides.

        n_frames: of the whole sequence, beyond which nothing is real.
        """
        n_queries, radius, block = q.shape[-2], self.radius_frames, self.block_frames
        n_blocks = -(-n_queries // block)
        tail = n_blocks * block - n_queries
        n_pairs = window_pairs(n_frames, radius)

        q_BHMQK = F.pad(q, (0, 0, 0, tail)).unfold(-2, block, block).transpose(-1, -2)
        k_BHMKS, v_BHMKS = (
            F.pad(x, (0, 0, 0, tail)).unfold(-2, block + 2 * radius, block) for x in (k, v)
        )
        end = torch.full((1,), n_frames, device=q.device) if lengths is None else lengths
        is_query = _real_queries(n_blocks, block, first, end)
        # Each frame is a key of its own block and, once more, of its neighbours' margins.
        is_own_key = F.pad(is_query, (radius, radius))
        scores_BHMQS = self.scores(
            q_BHMQK, k_BHMKS, n_pairs=n_pairs, real=(is_query[..., None], is_own_key[..., None, :])
        )
        allowed = _allowed_keys(n_blocks, block, radius, first, end)
        # A finite floor: rows that only pad the last block have no key at all, and must not be NaN.
        floor = torch.finfo(scores_BHMQS.dtype).min
        p_BHMQS = scores_BHMQS.masked_fill(~allowed, floor).softmax(-1)
        # Rows without any key got equal shares of nothing; they are cut off below.
        p_BHMQS = p_BHMQS.masked_fill(~allowed, 0.0)
        context: Tensor = self.context(
            self.dropout(p_BHMQS),
            v_BHMKS.transpose(-1, -2),
            n_pairs=n_pairs,
            real=(allowed & is_query[..., None], is_own_key[..., None]),
        )
        return context.flatten(-3, -2)[..., :n_queries, :]


def _with_margins(
    neighbours: tuple[Tensor, ...], radius: int, *, has_left: bool, has_right: bool
) -> Tensor:
    """A chunk (..., T, K) with `radius` frames more on both sides: its neighbours', or zeros."""
    middle = neighbours[1 if has_left else 0]
    none = middle[..., :0, :]
    left = neighbours[0] if has_left else none
    right = neighbours[-1][..., :radius, :] if has_right else none
    left = left[..., max(0, left.shape[-2] - radius) :, :]
    missing = (radius - left.shape[-2], radius - right.shape[-2])
    return F.pad(torch.cat([left, middle, right], dim=-2), (0, 0, *missing))


def _real_queries(n_blocks: int, block: int, first: int, end: Tensor) -> Tensor:
    """True where a query of a block is a frame of the audio: (B or 1, 1, M, Q)."""
    frame = torch.arange(first, first + n_blocks * block, device=end.device)
    return (frame.view(n_blocks, block) < end[:, None, None])[:, None]


def _allowed_keys(n_blocks: int, block: int, radius: int, first: int, end: Tensor) -> Tensor:
    """True where a key is real and inside the query's window: (B or 1, 1, M, Q, S)."""
    query_Q = torch.arange(block, device=end.device)
    key_S = torch.arange(-radius, block + radius, device=end.device)
    band_QS = (query_Q[:, None] - key_S).abs() <= radius
    block_M1 = torch.arange(n_blocks, device=end.device)[:, None]
    frame_MS = first + block_M1 * block + key_S
    real_BMS = (frame_MS >= 0) & (frame_MS < end[:, None, None])
    return band_QS & real_BMS[:, None, :, None, :]
