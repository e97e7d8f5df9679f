"""Values of a program as batches of an ONNX graph.

Letters: B batch, T frames, C columns.  A matrix (frames, columns) of a program becomes (B, T, C),
or (B, C, T) where convolutions follow each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from earbit.export.program import Program
from earbit.hub.onnx.graph import Graph, ints


@dataclass(slots=True)
class Value:
    """A value: floats, codes as the numbers that they represent, or bits as 0 and 1."""

    n_columns: int
    lengths: str | None = None
    """Real frames of each row (B,), int64; None if no row is padded."""
    rows: str | None = None
    """Tensor (B, T, C), once it is needed."""
    channels: str | None = None
    """Tensor (B, C, T), once it is needed."""
    is_bits: bool = False
    op: int | None = None
    """Number of the op that computes it."""
    integers: str | None = None
    """Tensor (B, T, C) of 8-bit codes as int8 or uint8, if there is one."""
    scale: float = 1.0
    """Value of one code."""
    zero: np.ndarray | None = None
    """Zero of the type of `integers`."""


@dataclass(slots=True)
class Translation:
    """State of a translation: the graph, the program, and its values so far."""

    graph: Graph
    program: Program
    has_integers: bool
    """Whether 8-bit codes are integers (QDQ)."""
    values: list[Value] = field(default_factory=list)
    known: dict[Any, Any] = field(default_factory=dict)
    """Cache of results that several ops share, for example masks."""

    def tensor(self, op: dict[str, Any], role: str) -> np.ndarray:
        """A tensor of an op."""
        return self.program.tensors[op["tensors"][role]]

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """The result of `make`, computed once for each key."""
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]

    def rows(self, value: Value) -> str:
        """The value as (B, T, C)."""
        if value.rows is None:
            assert value.channels is not None
            value.rows = self.graph.op("Transpose", value.channels, perm=[0, 2, 1])
        return value.rows

    def channels(self, value: Value) -> str:
        """The value as (B, C, T)."""
        if value.channels is None:
            value.channels = self.graph.op("Transpose", self.rows(value), perm=[0, 2, 1])
        return value.channels

    def elementwise(self, value: Value, make: Callable[[str], str], **changes: Any) -> Value:
        """A value of the same shape, computed in the layout that exists."""
        made = Value(value.n_columns, value.lengths, **changes)
        if value.rows is None and value.channels is not None:
            made.channels = make(value.channels)
        else:
            made.rows = make(self.rows(value))
        return made

    def per_column(self, value: Value, columns: np.ndarray) -> np.ndarray:
        """A vector (C,) that broadcasts to the layout in which `elementwise` computes."""
        is_channels = value.rows is None
        return columns[:, None] if is_channels else columns

    def n_frames(self, value: Value) -> str:
        """Number of frames T with padding, int64 (1,)."""
        name, axis = (value.rows, 1) if value.rows is not None else (value.channels, 2)
        shape = self.once(("shape", name), lambda: self.graph.op("Shape", name or ""))
        n: str = self.once(
            ("n_frames", name), lambda: self.graph.op("Gather", shape, ints(axis), axis=0)
        )
        return n

    def counted(self, n: str) -> str:
        """The numbers 0, 1, ..., n - 1 for n int64 (1,)."""
        # `Range` needs a scalar, which shape inference of ONNX Runtime takes for a vector.
        ones = onnx.helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1])
        made: str = self.once(
            ("counted", n),
            lambda: self.graph.op(
                "CumSum",
                self.graph.op("ConstantOfShape", n, value=ones),
                np.array(0),
                exclusive=1,
            ),
        )
        return made

    def mask(self, value: Value) -> str | None:
        """1 at real frames and 0 at padding, float32 (B, T); None if no row is padded."""
        if value.lengths is None:
            return None

        def make() -> str:
            graph = self.graph
            frames = self.counted(self.n_frames(value))
            is_real = graph.op("Less", frames, graph.op("Unsqueeze", value.lengths or "", ints(1)))
            return graph.op("Cast", is_real, to=1)

        made: str = self.once(("mask", value.lengths), make)
        return made

    def masked_channels(self, value: Value) -> str:
        """The value as (B, C, T) with zeros at padding."""
        mask = self.mask(value)
        if mask is None:
            return self.channels(value)
        graph = self.graph
        masked: str = self.once(
            ("masked", self.channels(value)),
            lambda: graph.op("Mul", self.channels(value), graph.op("Unsqueeze", mask, ints(1))),
        )
        return masked

    def lengths_after(
        self, value: Value, kernel: int, stride: int, pads: tuple[int, int]
    ) -> str | None:
        """Real frames of each row after a convolution: `(n + pads - kernel) // stride + 1`."""
        if value.lengths is None or (stride == 1 and sum(pads) == kernel - 1):
            return value.lengths
        graph = self.graph

        def make() -> str:
            n = graph.op("Add", value.lengths or "", ints(sum(pads) - kernel))
            n = graph.op("Add", graph.op("Div", n, ints(stride)), ints(1))
            # A row that is shorter than the window has one frame, of its zeros.
            return graph.op("Max", n, ints(1))

        made: str = self.once(("lengths", value.lengths, kernel, stride, sum(pads)), make)
        return made
