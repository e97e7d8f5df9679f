"""Memory of activations: peak number of live bits while a model runs with a batch of 1.

A tensor lives from the operation that makes it until its last reference is dropped, as in PyTorch's
forward pass without gradients; the hidden states, which are results, live to the end.  It has the
bits of its most demanding reader: a tensor that only 1-bit leaves read has 1 bit per element, as in
a packed program.  The clip, the weights, their views, and memory inside a leaf are not counted.

The peak is counted and not the sum of all outputs, because inference reuses memory: the sum does
not tell the memory of a device, and it would penalise deep models against wide ones.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from torch import Tensor

from earbit.nn.precision import FLOAT, Precision

FLOAT_BITS = FLOAT.activation_bits


@dataclass(slots=True)
class _Storage:
    """The numbers behind one or more tensors."""

    n_elements: int
    fixed_bits: int | None
    """Fixed bits per element of masks and indices; None for numbers."""
    bits: int = 0
    """Bits per element that readers other than leaves require so far."""
    readers: set[tuple[str, int]] = field(default_factory=set)
    """Leaves that read it, with the number of the operand."""
    copies: list[int] = field(default_factory=list)
    """Copies of the same numbers, whose readers count as readers of this storage."""


class Memory:
    """Follows the activations of one run; only their shapes matter, so they may be on `meta`."""

    def __init__(self, given: Iterable[Tensor]) -> None:
        """given: tensors that are not counted, the clip and the weights."""
        storages = [tensor.untyped_storage() for tensor in given]
        # References are held, so that no other object can get their identity.
        self._given = {id(storage): storage for storage in storages}
        self._storages: list[_Storage] = []
        self._alive: dict[int, int] = {}
        """Index of the storage of a live PyTorch object."""
        self._events: list[tuple[str | None, int]] = []
        """(path of the module that made it, storage), or (None, storage) when it is freed."""

    def made(self, tensors: Iterable[Tensor], path: str) -> None:
        """Records the outputs of an operation of the module at `path`; views are free."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if id(storage) in self._alive or id(storage) in self._given:
                continue
            index = len(self._storages)
            n_elements = storage.nbytes() // tensor.element_size()
            is_number = tensor.is_floating_point()
            fixed_bits = None if is_number else 8 * tensor.element_size()
            self._storages.append(_Storage(n_elements, fixed_bits))
            self._alive[id(storage)] = index
            self._events.append((path, index))
            weakref.finalize(storage, partial(self._gone, id(storage), index))

    def read(self, tensor: Tensor, bits: int) -> None:
        """Records a read of a tensor with a number of bits."""
        storage = self._storage_of(tensor)
        if storage is not None:
            storage.bits = max(storage.bits, bits)

    def read_by_leaf(self, tensor: Tensor, leaf: str, operand: int) -> None:
        """Records a read by a leaf, whose bits `peaks` gets: operand 0 or, of a product, 1."""
        storage = self._storage_of(tensor)
        if storage is not None:
            storage.readers.add((leaf, operand))

    def copied(self, source: Tensor, copy: Tensor) -> None:
        """Records a copy without computation, whose readers determine the bits of both."""
        indices = [self._alive.get(id(t.untyped_storage())) for t in (source, copy)]
        if indices[0] is not None and indices[1] is not None and indices[0] != indices[1]:
            self._storages[indices[0]].copies.append(indices[1])

    def end(self) -> None:
        """Ends the run; live tensors are its result."""
        for index in self._alive.values():
            self._storages[index].bits = max(self._storages[index].bits, FLOAT_BITS)

    def peaks(self, precisions: Mapping[str, Precision] = MappingProxyType({})) -> dict[str, int]:
        """Peak number of live bits at the allocations of each module, by its path.

        precisions: of all leaves that read something.
        """
        n_bits = self._bits_of_storages(precisions)
        peaks: dict[str, int] = {}
        n_alive = 0
        for path, index in self._events:
            if path is None:
                n_alive -= n_bits[index]
                continue
            n_alive += n_bits[index]
            peaks[path] = max(peaks.get(path, 0), n_alive)
        return peaks

    def _bits_of_storages(self, precisions: Mapping[str, Precision]) -> list[int]:
        """Bits of all elements of every storage."""
        bits = [0] * len(self._storages)
        # A copy is younger than its source.
        for index, storage in reversed(list(enumerate(self._storages))):
            of_leaves = [_operand_bits(precisions[leaf])[k] for leaf, k in storage.readers]
            of_copies = [bits[copy] for copy in storage.copies]
            bits[index] = max([storage.bits, *of_leaves, *of_copies])
        # What has no reader is a result, and in float.
        return [
            storage.n_elements * (storage.fixed_bits or n or FLOAT_BITS)
            for storage, n in zip(self._storages, bits, strict=True)
        ]

    def _storage_of(self, tensor: Tensor) -> _Storage | None:
        index = self._alive.get(id(tensor.untyped_storage()))
        return None if index is None else self._storages[index]

    def _gone(self, key: int, index: int) -> None:
        self._alive.pop(key, None)
        self._events.append((None, index))


def _operand_bits(precision: Precision) -> tuple[int, int]:
    return precision.activation_bits, precision.weight_bits
