"""Local attention, computed block by block: time and memory grow linearly with the frames.

Letters: B batch, H heads, K head width, M blocks, Q queries of a block, S keys of a block.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.errors import ConfigError
from earbit.nn.attention import SelfAttention

MIN_BLOCK_FRAMES = 16


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
        n_frames, radius = q.shape[-2], self.radius_frames
        block = max(2 * radius, MIN_BLOCK_FRAMES)
        n_blocks = -(-n_frames // block)
        tail = n_blocks * block - n_frames
        n_pairs = window_pairs(n_frames, radius)

        q_BHMQK = F.pad(q, (0, 0, 0, tail)).unfold(-2, block, block).transpose(-1, -2)
        k_BHMKS, v_BHMKS = (
            F.pad(x, (0, 0, radius, radius + tail)).unfold(-2, block + 2 * radius, block)
            for x in (k, v)
        )
        is_query = _real_queries(n_blocks, block, n_frames, lengths, q.device)
        # Each frame is a key of its own block and, once more, of its neighbours' margins.
        is_own_key = F.pad(is_query, (radius, radius))
        scores_BHMQS = self.scores(
            q_BHMQK, k_BHMKS, n_pairs=n_pairs, real=(is_query[..., None], is_own_key[..., None, :])
        )
        allowed = _allowed_keys(n_blocks, block, radius, n_frames, lengths, q.device)
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
        return context.flatten(-3, -2)[..., :n_frames, :]


def _real_queries(
    n_blocks: int, block: int, n_frames: int, lengths: Tensor | None, device: torch.device
) -> Tensor:
    """True where a query of a block is a frame of the audio: (B or 1, 1, M, Q)."""
    frame_MQ = torch.arange(n_blocks * block, device=device).view(n_blocks, block)
    end = torch.full((1,), n_frames, device=device) if lengths is None else lengths
    return (frame_MQ < end[:, None, None])[:, None]


def _allowed_keys(
    n_blocks: int,
    block: int,
    radius: int,
    n_frames: int,
    lengths: Tensor | None,
    device: torch.device,
) -> Tensor:
    """True where a key is real and inside the query's window: (B or 1, 1, M, Q, S)."""
    query_Q = torch.arange(block, device=device)
    key_S = torch.arange(-radius, block + radius, device=device)
    band_QS = (query_Q[:, None] - key_S).abs() <= radius
    frame_MS = torch.arange(n_blocks, device=device)[:, None] * block + key_S
    end = n_frames if lengths is None else lengths[:, None, None]
    real_BMS = (frame_MS >= 0) & (frame_MS < end)
    if real_BMS.dim() == 2:
        real_BMS = real_BMS[None]
    return band_QS & real_BMS[:, None, :, None, :]
