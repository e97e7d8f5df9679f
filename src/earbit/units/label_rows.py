"""Labels of many clips in one file: a flat array on disk, of which a row is read when requested.

A mapping of 280,000 arrays would take 100 MB and be copied to every worker process.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from earbit.audio.texts import Texts
from earbit.errors import DataError, FormatError
from earbit.files import write_whole

Units = NDArray[Any]
METADATA_KEY = "earbit"
MAX_INT16 = 1 << 15
"""Number of units up to which labels take two bytes, and four above it."""
BLOCK_LABELS = 1 << 20
TYPES: dict[str, np.dtype[Any]] = {"I16": np.dtype("<i2"), "I32": np.dtype("<i4")}


class LabelRows(Mapping[str, Units]):
    """Labels int32 (labels,) by id, read from a file of `LabelWriter` at every access.

    It holds the ids and offsets alone, and can be pickled.
    """

    def __init__(self, path: Path) -> None:
        """Reads ids and offsets; raises FormatError for a damaged file."""
        self.path = path.absolute()
        with safe_open(path, framework="numpy") as file:
            self.metadata: dict[str, Any] = json.loads((file.metadata() or {})[METADATA_KEY])
            self._offsets: NDArray[np.int64] = file.get_tensor("offsets")
            id_ends, names = file.get_tensor("id_ends"), file.get_tensor("ids")
        self._first_byte, self._dtype, self.n_labels = _place_of_labels(path)
        _check_arrays(path, self._offsets, self.n_labels, id_ends, names)
        self._ids = Texts(_texts(names.tobytes(), id_ends.tolist()))

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._row(name) is not None

    def __getitem__(self, name: str) -> Units:
        row = self._row(name)
        if row is None:
            raise KeyError(name)
        first, end = self._offsets[row : row + 2].tolist()
        return self._read(first, end - first)

    def lengths(self) -> Iterator[tuple[str, int]]:
        """Id and number of labels of every clip, in the order of the ids."""
        return zip(self._ids, np.diff(self._offsets).tolist(), strict=True)

    def in_order(self) -> Iterator[tuple[str, Units]]:
        """Id and labels of every clip, read in one pass."""
        with self.path.open("rb") as file:
            file.seek(self._first_byte)
            for name, n_labels in self.lengths():
                labels = np.fromfile(file, self._dtype, count=n_labels)
                yield name, self._whole(labels, n_labels)

    def blocks(self) -> Iterator[Units]:
        """All labels, in blocks."""
        for first in range(0, self.n_labels, BLOCK_LABELS):
            yield self._read(first, min(BLOCK_LABELS, self.n_labels - first))

    def _row(self, name: str) -> int | None:
        row = bisect_left(self._ids, name)
        return row if row < len(self._ids) and self._ids[row] == name else None

    def _read(self, first: int, n_labels: int) -> Units:
        offset = self._first_byte + first * self._dtype.itemsize
        try:
            labels = np.fromfile(self.path, self._dtype, count=n_labels, offset=offset)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror})") from error
        return self._whole(labels, n_labels)

    def _whole(self, labels: Units, n_labels: int) -> Units:
        if len(labels) < n_labels:
            raise FormatError(f"{self.path}: labels are cut off: damaged")
        return labels.astype(np.int32)


def label_bytes(n_units: int) -> int:
    """Bytes of a label in a file."""
    return 2 if n_units <= MAX_INT16 else 4


def write_rows(
    path: Path, rows: Iterable[tuple[str, Units]], metadata: Mapping[str, Any], n_units: int
) -> None:
    """Writes labels one by one to a safetensors file, atomically.

    rows: ids, in their order, and labels.  Raises DataError for no clips, or one without a label.
    """
    dtype = np.dtype(f"<i{label_bytes(n_units)}")
    ids, id_ends, offsets = bytearray(), [0], [0]

    def write(temporary: Path) -> None:
        flat = temporary.with_name(f"{temporary.name}.flat")
        try:
            with flat.open("wb") as file:
                for name, labels in rows:
                    if not len(labels):
                        raise DataError(f"{name!r}: no labels; leave this clip out")
                    file.write(np.asarray(labels, dtype).tobytes())
                    offsets.append(offsets[-1] + len(labels))
                    ids.extend(name.encode("utf-8", "surrogateescape"))
                    id_ends.append(len(ids))
            if len(offsets) == 1:
                raise DataError("labels of no clip; there is nothing to write")
            arrays = {
                "offsets": np.array(offsets, "<i8"),
                "id_ends": np.array(id_ends, "<i8"),
                "ids": np.frombuffer(bytes(ids), np.uint8),
            }
            with temporary.open("wb") as file:
                _write_header(file, arrays, dtype, offsets[-1], metadata)
                for array in arrays.values():
                    file.write(array.tobytes())
                with flat.open("rb") as labels_file:
                    shutil.copyfileobj(labels_file, file)
        finally:
            flat.unlink(missing_ok=True)

    write_whole(path, write)


def _write_header(
    file: BinaryIO,
    arrays: Mapping[str, NDArray[Any]],
    dtype: np.dtype[Any],
    n_labels: int,
    metadata: Mapping[str, Any],
) -> None:
    """The header of a safetensors file: arrays in their order, then the labels.

    safetensors itself would need all labels in memory.
    """
    kinds = {"int64": "I64", "uint8": "U8", "int16": "I16", "int32": "I32"}
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: json.dumps(metadata)}}
    end = 0
    sizes = {name: (a.dtype, a.size) for name, a in arrays.items()} | {"labels": (dtype, n_labels)}
    for name, (kind, size) in sizes.items():
        first, end = end, end + size * kind.itemsize
        header[name] = {"dtype": kinds[kind.name], "shape": [size], "data_offsets": [first, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)


def _place_of_labels(path: Path) -> tuple[int, np.dtype[Any], int]:
    """First byte, type and number of the labels; `safe_open` has checked the header."""
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(n_header))["labels"]
    if entry["dtype"] not in TYPES or len(entry["shape"]) != 1:
        raise FormatError(f"{path}: labels {entry['dtype']}{entry['shape']}: damaged")
    return 8 + n_header + entry["data_offsets"][0], TYPES[entry["dtype"]], entry["shape"][0]


def _check_arrays(
    path: Path,
    offsets: NDArray[Any],
    n_labels: int,
    id_ends: NDArray[Any],
    names: NDArray[Any],
) -> None:
    is_whole = offsets.dtype == id_ends.dtype == np.int64 and names.dtype == np.uint8
    if not is_whole or offsets.ndim != 1 or offsets.shape != id_ends.shape or names.ndim != 1:
        raise FormatError(f"{path}: offsets or ids have the wrong type: damaged")
    if (
        len(offsets) < 2
        or offsets[0] != 0
        or offsets[-1] != n_labels
        or np.any(np.diff(offsets) < 1)
    ):
        raise FormatError(f"{path}: offsets do not cut the labels into clips: damaged")
    if id_ends[0] != 0 or id_ends[-1] != len(names) or np.any(np.diff(id_ends) < 0):
        raise FormatError(f"{path}: ids are cut off: damaged")
    before: bytes | None = None
    content, ends = names.tobytes(), id_ends.tolist()
    for first, end in zip(ends, ends[1:], strict=False):
        name = content[first:end]
        if before is not None and name <= before:
            raise FormatError(f"{path}: ids are repeated or not in order: damaged")
        before = name


def _texts(content: bytes, ends: list[int]) -> Iterator[str]:
    return (
        content[first:end].decode("utf-8", "surrogateescape")
        for first, end in zip(ends, ends[1:], strict=False)
    )
