"""Stores of features by clip: shards on disk, or features computed at every access.

Neither keeps features in memory or files open.  Letters: L hidden states, T frames, D width.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from earbit.errors import FormatError
from earbit.files import write_whole

Array = NDArray[np.float32]
Clips = Mapping[str, Array]
KEY = "earbit-features"
PREFIX = "clip:"
"""Prefix of every id, since safetensors reserves some names."""
DTYPES: dict[str, type[Any]] = {"F32": np.float32, "F16": np.float16}


class FeatureStore(Mapping[str, Array]):
    """Features (L, T, D) in float32 by clip, whose lengths are known without reading them."""

    def __init__(self) -> None:
        self.n_frames: dict[str, int] = {}

    def state(self, clip_id: str, layer: int) -> Array:
        """One hidden state of a clip: (T, D)."""
        return np.array(self[clip_id][layer])  # a view would keep all states in memory

    def __iter__(self) -> Iterator[str]:
        return iter(self.n_frames)

    def __len__(self) -> int:
        return len(self.n_frames)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self.n_frames


def frames_in(clips: Clips, clip_id: str) -> int:
    """Number of frames of a clip."""
    if isinstance(clips, FeatureStore):
        return clips.n_frames[clip_id]
    return int(clips[clip_id].shape[1])


def state_of(clips: Clips, clip_id: str, layer: int) -> Array:
    """One hidden state of a clip: (T, D)."""
    if isinstance(clips, FeatureStore):
        return clips.state(clip_id, layer)
    return np.asarray(clips[clip_id][layer])


class ComputedFeatures(FeatureStore):
    """Computes the features of a clip at every access."""

    def __init__(self, compute: Callable[[str], Array]) -> None:
        super().__init__()
        self._compute = compute

    def add(self, clips: Mapping[str, NDArray[Any]]) -> None:
        """Keeps the lengths of clips."""
        self.n_frames |= {clip_id: clip.shape[1] for clip_id, clip in clips.items()}

    def __getitem__(self, clip_id: str) -> Array:
        return self._compute(clip_id)


class _Place(NamedTuple):
    """Where the features of a clip are."""

    path: Path
    offset: int
    shape: tuple[int, int, int]
    dtype: type[Any]


class ShardedFeatures(FeatureStore):
    """Feature cache: safetensors shards in one folder, of which only the headers are kept.

    Shards are written atomically and never change, so an interrupted run resumes and two runs may
    share a folder.  Raises FormatError for a shard that is damaged or has another key.
    """

    def __init__(self, folder: Path, key: str) -> None:
        super().__init__()
        self.folder = folder
        self.key = key
        self._place_of: dict[str, _Place] = {}
        for path in sorted(folder.glob("shard-*.safetensors")):
            self._index(path)

    def add(self, clips: Mapping[str, NDArray[Any]]) -> None:
        """Writes a shard of float32 or float16; its file name is determined by the clips."""
        names = hashlib.sha256("\n".join(sorted(clips)).encode()).hexdigest()
        path = self.folder / f"shard-{names[:16]}.safetensors"
        tensors = {PREFIX + i: np.ascontiguousarray(clip) for i, clip in clips.items()}
        write_whole(path, lambda temporary: save_file(tensors, temporary, {KEY: self.key}))
        self._index(path)

    def __getitem__(self, clip_id: str) -> Array:
        return self._read(clip_id, slice(None))

    def state(self, clip_id: str, layer: int) -> Array:
        """One hidden state of a clip: (T, D); no other is read."""
        return np.asarray(self._read(clip_id, slice(layer, layer + 1))[0])

    def _index(self, path: Path) -> None:
        """Adds the clips of a shard, without reading their features."""
        try:
            start, header = _header(path)
            key = header.pop("__metadata__", {}).get(KEY)
            place_of = {
                name.removeprefix(PREFIX): _place(path, start, entry)
                for name, entry in header.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: damaged feature cache ({error}); delete it") from error
        if key != self.key:
            raise FormatError(f"{path}: a feature cache of other features; delete this file")
        self._place_of |= place_of
        self.n_frames |= {clip_id: place.shape[1] for clip_id, place in place_of.items()}

    def _read(self, clip_id: str, layers: slice) -> Array:
        path, offset, (n_states, n_frames, width), dtype = self._place_of[clip_id]
        first, last, _ = layers.indices(n_states)
        shape = (last - first, n_frames, width)
        begin = offset + first * n_frames * width * np.dtype(dtype).itemsize
        try:
            flat = np.fromfile(path, dtype, count=math.prod(shape), offset=begin)
            return np.asarray(flat.reshape(shape), np.float32)
        except (OSError, ValueError) as error:
            raise FormatError(f"{path}: damaged feature cache ({error}); delete it") from error


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Offset of the values of a safetensors file, and its header; ValueError if it is cut off."""
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        if start > n_bytes:
            raise ValueError("the header is cut off")
        header = json.loads(file.read(start - 8))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if start + max(ends, default=0) != n_bytes:
        raise ValueError("values are cut off")
    return start, header


def _place(path: Path, start: int, entry: Mapping[str, Any]) -> _Place:
    n_states, n_frames, width = entry["shape"]
    return _Place(
        path,
        start + entry["data_offsets"][0],
        (n_states, n_frames, width),
        DTYPES[entry["dtype"]],
    )
