"""Builder of an ONNX graph: nodes, constants and names.  Tensors are known by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 8
"""Versions that ONNX Runtime 1.14 and later, also in browsers, read."""
Operand = str | np.ndarray
MAX_SHARED_BYTES = 1024
"""Constants up to this size are stored once."""


class Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, np.ndarray] = {}
        self._shared: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def op(self, kind: str, *inputs: Operand, **attributes: Any) -> str:
        """Adds a node with one output and returns the output's name; arrays become constants."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, n_outputs: int, *inputs: Operand, **attributes: Any) -> list[str]:
        """Adds a node with several outputs; an empty name is an optional input left out."""
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        place = len(self._nodes)
        outputs = [f"{kind.lower()}_{place}{f'_{i}' if i else ''}" for i in range(n_outputs)]
        self._nodes.append(helper.make_node(kind, names, outputs, **attributes))
        return outputs

    def constant(self, value: np.ndarray) -> str:
        """Name of a constant."""
        value = np.ascontiguousarray(value)
        is_shared = value.nbytes <= MAX_SHARED_BYTES
        key = (value.dtype.str, value.shape, value.tobytes() if is_shared else b"")
        if is_shared and key in self._shared:
            return self._shared[key]
        name = f"constant_{len(self._constants)}"
        self._constants[name] = value
        if is_shared:
            self._shared[key] = name
        return name

    def whole(self, value: np.ndarray) -> str:
        """Name of a float32 tensor of whole numbers, stored in as few bytes as they need."""
        low, high = float(value.min()), float(value.max())
        kind = np.int8 if low >= -128 and high <= 127 else np.int16
        return self.op("Cast", value.astype(kind), to=TensorProto.FLOAT)

    def rename(self, name: str, output: str) -> None:
        """Gives a tensor the name of an output of the graph."""
        self._nodes.append(helper.make_node("Identity", [name], [output]))

    def model(
        self,
        inputs: dict[str, tuple[int, list[str | int]]],
        outputs: dict[str, tuple[int, list[str | int]]],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        """The model; inputs, outputs: element type and shape by name.

        Nodes that no output depends on are left out.
        """
        described = [
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in of.items()]
            for of in (inputs, outputs)
        ]
        nodes = self._needed(set(outputs))
        read = {name for node in nodes for name in node.input}
        constants = [
            numpy_helper.from_array(value, name)
            for name, value in self._constants.items()
            if name in read
        ]
        graph = helper.make_graph(nodes, "earbit", *described, initializer=constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="earbit"
        )
        helper.set_model_props(model, metadata)
        return model

    def _needed(self, names: set[str]) -> list[onnx.NodeProto]:
        needed = []
        for node in reversed(self._nodes):
            if names & set(node.output):
                names |= set(node.input)
                needed.append(node)
        return needed[::-1]


def ints(*values: int) -> np.ndarray:
    """A vector of int64, as shapes and axes are."""
    return np.array(values, np.int64)


def scalar(value: float) -> np.ndarray:
    """A float32 scalar."""
    return np.array(value, np.float32)
