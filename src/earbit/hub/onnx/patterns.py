"""Patterns of attention: masks of keys, blocks of a window, and biases of distances.

Letters: B batch, T frames, H heads, K head width, M blocks, Q queries and S keys of a block,
R = 2 T - 1 distances.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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


class Window(NamedTuple):
    """Frames before and after a query that it sees."""

    left: int
    right: int

    @property
    def block(self) -> int:
        """Queries of a block."""
        return max(self.left + self.right, MIN_BLOCK_FRAMES)


def window_of(op: dict[str, Any]) -> Window | None:
    """The window of an attention; None if it sees all frames."""
    numbers = op["ints"]
    radius = numbers.get("radius", -1)
    window = Window(numbers.get("left", radius), numbers.get("right", radius))
    return None if window.left < 0 else window


def _frames_of_blocks(t: Translation, like: Value, window: Window, has_margins: bool) -> str:
    """Frames of the queries of all blocks, or of the keys with margins: int64 (M, Q or S)."""
    graph, block = t.graph, window.block
    left, right = window if has_margins else (0, 0)
    n = t.n_frames(like)

    def make() -> str:
        n_blocks = graph.op("Div", graph.op("Add", n, ints(block - 1)), ints(block))
        first = graph.op("Mul", t.counted(n_blocks), ints(block))
        first = graph.op("Unsqueeze", first, ints(1))
        return graph.op("Add", first, np.arange(-left, block + right))

    made: str = t.once(("frames_of_blocks", n, window, has_margins), make)
    return made


def blocks(
    t: Translation, like: Value, x_BHTK: str, window: Window, *, has_margins: bool = False
) -> str:
    """Frames of all blocks, (B, H, M, Q or S, K); frames outside of the audio are repeated."""
    graph = t.graph
    n = t.n_frames(like)

    def make() -> str:
        frames = _frames_of_blocks(t, like, window, has_margins)
        last = graph.op("Sub", n, ints(1))
        return graph.op("Min", graph.op("Max", frames, ints(0)), last)

    inside = t.once(("inside", n, window, has_margins), make)
    return graph.op("Gather", x_BHTK, inside, axis=2)


def window_mask(t: Translation, like: Value, window: Window) -> str:
    """True at real keys in the window of a query, (B or 1, 1, M, Q, S)."""
    graph, block = t.graph, window.block
    left, right = window

    def make() -> str:
        frames = _frames_of_blocks(t, like, window, True)
        end = like.lengths or t.n_frames(like)
        is_before_end = graph.op("Less", frames, graph.op("Unsqueeze", end, ints(1, 2)))
        is_real = graph.op("And", is_before_end, graph.op("GreaterOrEqual", frames, ints(0)))
        distance = np.arange(-left, block + right) - np.arange(block)[:, None]
        is_near = (distance >= -left) & (distance <= right)
        return graph.op("And", graph.op("Unsqueeze", is_real, ints(1, 3)), is_near)

    made: str = t.once(("window_mask", like.lengths or t.n_frames(like), window), make)
    return made
