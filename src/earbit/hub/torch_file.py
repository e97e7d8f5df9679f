"""Checkpoints of `torch.save`, zip files and the older layout, read without unpickling.

The zip layout has NAME/data.pkl and one uncompressed member NAME/data/KEY per storage.  The older
layout is five pickles (magic number, version, system, object, storage keys), then for every key
the number of elements as int64 and the elements.  Source: torch/serialization.py.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earbit.errors import FormatError, UnsupportedError
from earbit.hub.pickle_machine import read_pickle
from earbit.hub.pickle_opcodes import MAX_PICKLE_BYTES
from earbit.hub.pickle_values import StorageRecord, TensorRecord
from earbit.hub.stored_tensors import StoredTensor

MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_LOCAL_HEADER = struct.Struct("<4s22xHH")
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
BIG_ENDIAN = "written on a big-endian machine; save it again on a little-endian one"


@dataclass(frozen=True, slots=True)
class TorchFile:
    """The content of a checkpoint: plain values, records and tensors that are not read yet."""

    path: Path
    root: Any
    places: dict[str, int]
    """Offset of the first byte of every storage."""
    sums: dict[str, int] = field(default_factory=dict)
    """CRC-32 of every storage, in zip files."""

    def tensor(self, record: TensorRecord) -> StoredTensor:
        """A tensor of this file, which is read later."""
        dtype = DTYPES[record.storage.kind]
        read = partial(self._read, record, dtype)
        return StoredTensor(record.shape, dtype.is_floating_point, read)

    def _read(self, record: TensorRecord, dtype: torch.dtype) -> Tensor:
        storage, n_bytes = record.storage, dtype.itemsize
        if 0 in record.shape:
            return torch.empty(record.shape, dtype=dtype)
        last = sum((n - 1) * s for n, s in zip(record.shape, record.strides, strict=True))
        place = self.places[storage.key]
        with _mapped(self.path) as data:
            expected = self.sums.get(storage.key)
            if expected is not None:
                end = place + storage.n_elements * n_bytes
                with memoryview(data) as view, view[place:end] as stored:
                    found = zlib.crc32(stored)
                if found != expected:
                    raise FormatError(f"{self.path}: damaged tensor data; download it again")
            place += record.offset * n_bytes
            numbers = bytearray(data[place : place + (last + 1) * n_bytes])
        return torch.frombuffer(numbers, dtype=dtype).as_strided(record.shape, record.strides)


def open_torch_file(path: Path) -> TorchFile:
    """Reads the structure of a checkpoint; raises FormatError for other and for damaged files."""
    try:
        status = path.stat()
        return _opened(path, status.st_mtime_ns, status.st_size)
    except FormatError as error:
        text = str(error)
        where = "" if text.startswith(str(path)) else f"{path}: "
        raise FormatError(f"{where}{text}; get the file from another place") from error
    except UnsupportedError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        struct.error,
        zipfile.BadZipFile,
        NotImplementedError,  # a zip file of a later version
    ) as error:
        raise FormatError(f"{path}: not a readable checkpoint ({error}); download it again") from (
            error
        )


def is_torch_file(path: Path) -> bool:
    """Whether a file begins like a checkpoint of PyTorch."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return head.startswith(b"PK\x03\x04") or head[:1] == b"\x80"


@lru_cache(maxsize=2)
def _opened(path: Path, mtime_ns: int, size: int) -> TorchFile:
    """Several importers look at a file, so its structure is kept; the other arguments are keys."""
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
    with _mapped(path) as data:
        return _zip(path, data) if is_zip else _legacy(path, data)


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _zip(path: Path, data: mmap.mmap) -> TorchFile:
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise FormatError("two members of the zip file have the same name")
        roots = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise FormatError(f"a zip file with {len(roots)} members data.pkl instead of one")
        root = roots[0]
        if f"{root}constants.pkl" in members:
            raise FormatError("a TorchScript program; save the state dict instead")
        pickled = members[f"{root}data.pkl"]
        if pickled.file_size > MAX_PICKLE_BYTES:
            raise FormatError(f"data.pkl of {pickled.file_size} bytes")
        start, end = _place(data, pickled)
        value, stop, storages = read_pickle(data[start:end])
        if stop != end - start:
            raise FormatError("data.pkl has bytes behind its end")
        order = members.get(f"{root}byteorder")
        if order is not None and data[slice(*_place(data, order))] != b"little":
            raise UnsupportedError(f"{path}: {BIG_ENDIAN}")
        places, sums = {}, {}
        for key, storage in storages.items():
            member = members.get(f"{root}data/{key}")
            if member is None:
                raise FormatError(f"no member {f'data/{key}'[:80]!r}")
            places[key], end = _place(data, member)
            sums[key] = member.CRC
            _check_size(storage, end - places[key])
    return TorchFile(path, value, places, sums)


def _place(data: mmap.mmap, member: zipfile.ZipInfo) -> tuple[int, int]:
    """First byte and end of the data of a member."""
    at = member.header_offset
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise FormatError(f"member {member.filename[:80]!r} is compressed")
    signature, n_name, n_extra = _LOCAL_HEADER.unpack(data[at : at + _LOCAL_HEADER.size])
    start = at + _LOCAL_HEADER.size + n_name + n_extra
    if signature != b"PK\x03\x04" or start + member.file_size > len(data):
        raise FormatError(f"member {member.filename[:80]!r} is not inside the file")
    return start, start + member.file_size


def _legacy(path: Path, data: mmap.mmap) -> TorchFile:
    magic, at, _ = read_pickle(data)
    if magic != MAGIC:
        raise FormatError("a pickle, but not a checkpoint of PyTorch")
    version, at, _ = read_pickle(data, at)
    system, at, _ = read_pickle(data, at)
    if version != _LEGACY_VERSION or not isinstance(system, dict):
        raise FormatError("a checkpoint of PyTorch in an unknown version")
    if system.get("little_endian") is not True:
        raise UnsupportedError(f"{path}: {BIG_ENDIAN}")
    value, at, storages = read_pickle(data, at)
    keys, at, _ = read_pickle(data, at)
    if (
        not isinstance(keys, list)
        or not all(isinstance(key, str) for key in keys)
        or set(keys) != set(storages)
    ):
        raise FormatError("the list of storages does not belong to the pickle")
    places = {}
    for key in keys:
        storage = storages[key]
        if len(data) < at + 8 or data[at : at + 8] != struct.pack("<q", storage.n_elements):
            raise FormatError(f"storage {key[:80]!r} has another number of elements, or is cut off")
        places[key] = at + 8
        at += 8 + storage.n_elements * _item_bytes(storage)
        if at > len(data):
            raise FormatError(f"storage {key[:80]!r} is cut off")
    return TorchFile(path, value, places)


def _check_size(storage: StorageRecord, n_bytes: int) -> None:
    if storage.n_elements * _item_bytes(storage) != n_bytes:
        raise FormatError(
            f"storage {storage.key[:80]!r} has {n_bytes} bytes instead of {storage.n_elements} "
            f"elements of {storage.kind}"
        )


def _item_bytes(storage: StorageRecord) -> int:
    if storage.kind not in DTYPES:
        raise FormatError(f"storage of {storage.kind[:80]}; allowed: {', '.join(DTYPES)}")
    return DTYPES[storage.kind].itemsize
