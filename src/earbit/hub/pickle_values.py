"""Values of a pickle that Python would make by calling code, as inert data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from earbit.errors import FormatError

# Packages whose objects occur in checkpoints of speech models.  Their objects become records.
# fmt: off
KNOWN_PACKAGES = frozenset([
    "torch", "torchaudio", "numpy", "argparse", "omegaconf", "hydra", "fairseq", "s3prl",
    "collections", "typing", "enum", "pathlib", "datetime", "copy_reg", "copyreg", "_codecs",
    "uuid", "pytorch_lightning", "lightning",
])
KNOWN_BUILTINS = frozenset([
    "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object",
    "range", "set", "slice", "str", "tuple",
])
# fmt: on
MAX_DIMENSIONS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A class or function by name only."""

    name: str
    """Module and name: `torch.FloatStorage`."""


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """Inert stand-in for an object of any class: its arguments, state and items."""

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class StorageRecord:
    """A flat array of numbers in the file."""

    kind: str
    """PyTorch's name: `FloatStorage`."""
    key: str
    n_elements: int


@dataclass(frozen=True, slots=True, eq=False)
class TensorRecord:
    """A view of a storage; offset and strides in elements."""

    storage: StorageRecord
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def named(module: str, name: str) -> Named:
    """A name in a pickle; raises FormatError for modules that no checkpoint needs."""
    package = module.partition(".")[0]
    is_builtin = package in ("builtins", "__builtin__")
    if name in KNOWN_BUILTINS if is_builtin else package in KNOWN_PACKAGES:
        return Named(f"{module}.{name}")
    raise FormatError(
        f"the pickle names {f'{module}.{name}'[:80]!r}, which no model needs; nothing of it was "
        "imported or called"
    )


def storage_of(persistent: Any) -> StorageRecord:
    """A storage from its persistent id: ("storage", class, key, device, number of elements)."""
    match persistent:
        case ("storage", Named(name=name), str(key), str(), int(n_elements), *view) if (
            name.startswith("torch.") and n_elements >= 0 and view in ([], [None])
        ):
            return StorageRecord(name.rpartition(".")[2], key, n_elements)
    raise FormatError("the pickle has a persistent id that is not a storage of PyTorch")


def tensor_of(arguments: tuple[Any, ...]) -> TensorRecord:
    """A tensor from the arguments of `torch._utils._rebuild_tensor_v2`."""
    match arguments:
        case (StorageRecord() as storage, int(offset), tuple(shape), tuple(strides), *_) if len(
            shape
        ) == len(strides) <= MAX_DIMENSIONS and all(
            type(n) is int and 0 <= n < 2**48 for n in (offset, *shape, *strides)
        ):
            record = TensorRecord(storage, offset, shape, strides)
            _check_inside(record)
            return record
    raise FormatError("the pickle has a tensor with unreadable shape, strides or storage")


def _check_inside(tensor: TensorRecord) -> None:
    """Raises FormatError for a tensor that reaches beyond its storage or repeats elements."""
    n_elements = 1
    for n in tensor.shape:
        n_elements *= n
    if n_elements == 0:
        return
    last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset + last >= tensor.storage.n_elements or n_elements > last + 1:
        raise FormatError(
            f"the pickle has a tensor of shape {tensor.shape}, strides {tensor.strides} and offset "
            f"{tensor.offset} in a storage of {tensor.storage.n_elements} elements"
        )
