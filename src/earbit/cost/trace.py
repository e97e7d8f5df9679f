"""Runs a model once and records every operation with its module.

Leaves are counted by their own formulas, and operations inside a leaf are part of it.  This also
holds for the preparation of its weight (weight norm), which a deployed model does not repeat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from earbit.cost.formulas import (
    FIXED_PRODUCTS,
    FREE,
    LEAF_MACS,
    OTHER_FLOPS,
    LeafCall,
    Shape,
    leaf_other_flops,
    needed_output,
)
from earbit.cost.memory import FLOAT_BITS, Memory
from earbit.cost.op import Op
from earbit.nn.leaves import Conv1d, Leaf, Linear, MatMul
from earbit.nn.precision import Precision


class Trace:
    """Operations and peak memory of one forward pass; its `ops` have the leaves' own precisions."""

    def __init__(
        self,
        ops: tuple[Op, ...],
        unknown_ops: dict[str, int],
        memory: Memory,
        leaf_precisions: Mapping[str, Precision],
    ) -> None:
        self.ops = ops
        """Operations in order of completion, without free ones."""
        self.unknown_ops = unknown_ops
        """Counts of operations without a formula, whose cost is missing above."""
        self._memory = memory
        self._leaf_precisions = leaf_precisions

    @cached_property
    def peak_bits(self) -> dict[str, int]:
        """Peak number of live activation bits by the path of the running module."""
        return self._memory.peaks(self._leaf_precisions)

    def at(self, precisions: Mapping[str, Precision]) -> Trace:
        """The same pass at other precisions of leaves by name; the others keep theirs."""
        ops = tuple(
            replace(op, precision=precisions[op.name]) if op.name in precisions else op
            for op in self.ops
        )
        return Trace(ops, self.unknown_ops, self._memory, {**self._leaf_precisions, **precisions})


def trace(model: torch.nn.Module, *inputs: Tensor) -> Trace:
    """Counts one forward pass of `model` without gradients; set evaluation mode first.

    inputs: arguments of the model, on its device; the meta device needs no memory.
    """
    given = (*inputs, *model.parameters(), *model.buffers())
    recorder = _Recorder(Memory(given))
    handles = []
    for name, module in model.named_modules():
        enter, leave = recorder.hooks_of(name)
        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave, always_call=True))
    try:
        with torch.no_grad(), recorder:
            # Held until the end, because results live on when the model has returned.
            result = model(*inputs)
            recorder.memory.end()
            del result
    finally:
        for handle in handles:
            handle.remove()
    own = {n: leaf.precision for n, leaf in model.named_modules() if isinstance(leaf, Leaf)}
    return Trace(tuple(recorder.ops), dict(recorder.unknown_ops), recorder.memory, own)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Receives every tensor operation, and tracks running modules by hooks."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[Op] = []
        self.unknown_ops: Counter[str] = Counter()
        self.memory = memory
        self.running: list[tuple[str, torch.nn.Module]] = []

    def hooks_of(self, name: str) -> tuple[Any, Any]:
        """Hooks for the start and the end of the module of this name."""

        def enter(module: torch.nn.Module, args: Any) -> None:
            if isinstance(module, Leaf) and not self._in_leaf():
                n_operands = 2 if isinstance(module, MatMul) else 1
                for operand, tensor in enumerate(args[:n_operands]):
                    self.memory.read_by_leaf(tensor, name, operand)
            self.running.append((name, module))

        def leave(module: torch.nn.Module, args: Any, output: Any) -> None:
            self.running.pop()
            # A forward pass that has raised has no output.
            if isinstance(module, Leaf) and isinstance(output, Tensor) and not self._in_leaf():
                self.ops.append(leaf_op(name, module, args, output))
                self.memory.made([output], name)

        return enter, leave

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs the operation, and counts it outside of leaves."""
        out = func(*args, **(kwargs or {}))
        if self._in_leaf():
            return out
        path = self.running[-1][0] if self.running else ""
        namespace, name = func._schema.name.split("::")
        operation = name.removesuffix("_")  # In-place operations cost the same.
        is_free = namespace == "aten" and operation in FREE
        self._follow(args, out, path, is_free)
        if is_free:
            return out
        formulas = OTHER_FLOPS
        if self.running and getattr(self.running[-1][1], "has_fixed_products", False):
            formulas = OTHER_FLOPS | FIXED_PRODUCTS
        if namespace != "aten" or operation not in formulas:
            self.unknown_ops[f"{namespace}.{name}"] += 1
            return out
        first = out[0] if isinstance(out, tuple) else out
        if first.is_floating_point() or first.is_complex():
            n_flops = formulas[operation](_shapes(args), tuple(first.shape))
            self.ops.append(
                Op(
                    name=path,
                    kind=operation.removeprefix("_"),
                    n_macs=0,
                    n_other_flops=n_flops,
                    out_elements=first.numel(),
                )
            )
        return out

    def _follow(self, args: tuple[Any, ...], out: Any, path: str, is_free: bool) -> None:
        """Reports inputs and outputs of an operation to the memory; free ones move numbers."""
        outputs = _tensors(out if isinstance(out, tuple | list) else (out,))
        self.memory.made(outputs, path)
        for tensor in _tensors(_flat(args)):
            if not is_free:
                self.memory.read(tensor, FLOAT_BITS)
            elif len(outputs) == 1 and tensor.dtype == outputs[0].dtype:
                self.memory.copied(tensor, outputs[0])

    def _in_leaf(self) -> bool:
        return any(isinstance(module, Leaf) for _, module in self.running)


def leaf_op(name: str, leaf: Leaf, args: tuple[Any, ...], output: Tensor) -> Op:
    """Record of one call of a leaf, from the shapes of inputs and outputs."""
    inputs, shape = _shapes(args), tuple(output.shape)
    match leaf:
        case MatMul():
            call = LeafCall(inputs=inputs, output=shape)
            if leaf.pattern is not None:
                call = replace(
                    call,
                    n_pairs=leaf.pattern.n_pairs,
                    is_left_sparse=leaf.pattern.is_left_sparse,
                )
        case Linear():
            call = LeafCall(
                inputs=inputs,
                weight=weight_shape(leaf),
                output=shape,
                has_bias=leaf.bias is not None,
                has_activation=leaf.input_activation != "none",
            )
        case Conv1d():
            call = LeafCall(
                inputs=inputs,
                weight=weight_shape(leaf),
                output=shape,
                has_bias=leaf.bias is not None,
                has_activation=leaf.input_activation != "none",
                stride=leaf.stride[0],
                padding=cast(int, leaf.padding[0]),
            )
    kind = next(kind for kind in LEAF_MACS if isinstance(leaf, kind))
    return Op(
        name=name,
        kind=kind.__name__.lower(),
        n_macs=LEAF_MACS[kind](call),
        n_other_flops=leaf_other_flops(call),
        precision=leaf.precision,
        n_weights=prod(call.weight) if call.weight else 0,
        out_elements=prod(needed_output(call)),
    )


def weight_shape(leaf: Linear | Conv1d) -> Shape:
    """Weight shape (d_out, d_in) or (C_out, C_in / groups, kernel) of a leaf."""
    if isinstance(leaf, Linear):
        return (leaf.out_features, leaf.in_features)
    return (leaf.out_channels, leaf.in_channels // leaf.groups, leaf.kernel_size[0])


def _shapes(args: tuple[Any, ...]) -> tuple[Shape, ...]:
    return tuple(tuple(tensor.shape) for tensor in _tensors(args))


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]


def _flat(args: tuple[Any, ...]) -> list[Any]:
    """Arguments, with lists flattened (`cat`, `stack`)."""
    return [one for arg in args for one in (arg if isinstance(arg, tuple | list) else (arg,))]
