"""Patterns of attention: masks of keys, blocks of a window, and biases of distances.

Letters: B batch, T frames, H heads, K head width, M blocks, Q queries and S keys of a block,
R = 2 T - 1 distances.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from earbit.hub.onnx.graph import ints
from earbit.hub.onnx.values import Translation, Value

MIN_BLOCK_FRAMES = 16


def position_bias(t: Translation, like: Value, position: tuple[Value, ...]) -> str | None:
    """The gate of query i times the bias of distance j - i, (B, H, T, T); None without them."""
    if not position:
        return None
    gate, bias = position
    graph = t.graph

    def by_keys() -> str:
        frames = t.counted(t.n_frames(like))
        distance = graph.op("Sub", frames, graph.op("Unsqueeze", frames, ints(1)))
        row = graph.op("Add", distance, graph.op("Sub", t.n_frames(like), ints(1)))
        return graph.op("Gather", t.channels(bias), row, axis=2)

    bias_BHTS = t.once(("position_bias", t.channels(bias)), by_keys)
    return graph.op("Mul", graph.op("Unsqueeze", t.channels(gate), ints(3)), bias_BHTS)


def shifted(t: Translation, like: Value, scores_BHTR: str) -> str:
    """Moves the score of distance T - 1 - r from column r to key j = i - distance."""
    graph = t.graph
    n = t.n_frames(like)
    padded = graph.op("Pad", scores_BHTR, ints(0, 0, 0, 1, 0, 0, 0, 0))
    by_rows = graph.op("Reshape", padded, graph.op("Concat", ints(0, 0, -1), n, axis=0))
    later = graph.op("Slice", by_rows, ints(1), ints(2**31 - 1), ints(2))
    shape = graph.op("Concat", ints(0, 0), n, ints(-1), axis=0)
    return graph.op("Slice", graph.op("Reshape", later, shape), ints(0), n, ints(3))


def key_mask(t: Translation, like: Value) -> str | None:
    """True at real keys, (B, 1, 1, T); None if all are."""
    mask = t.mask(like)
    if mask is None:
        return None
    graph = t.graph

    def make() -> str:
        is_real = graph.op("Cast", mask, to=TensorProto.BOOL)
        return graph.op("Unsqueeze", is_real, ints(1, 2))

    made: str = t.once(("key_mask", mask), make)
    return made


def _frames_of_blocks(t: Translation, like: Value, radius: int, margin: int) -> str:
    """Frames of the queries of all blocks, or of the keys with a margin: int64 (M, Q or S)."""
    graph = t.graph
    block = max(2 * radius, MIN_BLOCK_FRAMES)
    n = t.n_frames(like)

    def make() -> str:
        n_blocks = graph.op("Div", graph.op("Add", n, ints(block - 1)), ints(block))
        first = graph.op("Mul", t.counted(n_blocks), ints(block))
        first = graph.op("Unsqueeze", first, ints(1))
        return graph.op("Add", first, np.arange(-margin, block + margin))

    made: str = t.once(("frames_of_blocks", n, radius, margin), make)
    return made


def blocks(t: Translation, like: Value, x_BHTK: str, radius: int, margin: int) -> str:
    """Frames of all blocks, (B, H, M, Q or S, K); frames outside of the audio are repeated."""
    graph = t.graph
    n = t.n_frames(like)

    def make() -> str:
        frames = _frames_of_blocks(t, like, radius, margin)
        last = graph.op("Sub", n, ints(1))
        return graph.op("Min", graph.op("Max", frames, ints(0)), last)

    inside = t.once(("inside", n, radius, margin), make)
    return graph.op("Gather", x_BHTK, inside, axis=2)


def window_mask(t: Translation, like: Value, radius: int) -> str:
    """True at real keys in the window of a query, (B or 1, 1, M, Q, S)."""
    graph = t.graph
    block = max(2 * radius, MIN_BLOCK_FRAMES)

    def make() -> str:
        frames = _frames_of_blocks(t, like, radius, radius)
        end = like.lengths or t.n_frames(like)
        is_before_end = graph.op("Less", frames, graph.op("Unsqueeze", end, ints(1, 2)))
        is_real = graph.op("And", is_before_end, graph.op("GreaterOrEqual", frames, ints(0)))
        query, key = np.arange(block)[:, None], np.arange(-radius, block + radius)
        is_near = np.abs(query - key) <= radius
        return graph.op("And", graph.op("Unsqueeze", is_real, ints(1, 3)), is_near)

    made: str = t.once(("window_mask", like.lengths or t.n_frames(like), radius), make)
    return made
