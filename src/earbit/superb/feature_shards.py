"""Frozen features on disk: a folder of safetensors files, read clip by clip, never all at once.

A shard is written whole or not at all and is never changed, so a run that was killed goes on with
what it finds, and two runs at once do no harm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from earbit.errors import FormatError
from earbit.files import write_whole

KEY = "earbit-features"
PREFIX = "clip:"
"""In front of every id: safetensors keeps some names for itself."""


class ShardedFeatures(Mapping[str, NDArray[np.float32]]):
    """Features (n_states, n_frames, width) by clip, read from the shards of one folder.

    folder: where the shards lie;  key: what the features were made from.  Raises FormatError for
    a shard that is damaged or has another key.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key
        self._shard_of: dict[str, Any] = {}
        for path in sorted(folder.glob("shard-*.safetensors")):
            self._open(path)

    def add(self, clips: Mapping[str, NDArray[np.float32]]) -> None:
        """Writes one more shard; the same clips always get the same file."""
        names = hashlib.sha256("\n".join(sorted(clips)).encode()).hexdigest()
        path = self.folder / f"shard-{names[:16]}.safetensors"
        tensors = {PREFIX + i: np.ascontiguousarray(clip) for i, clip in clips.items()}
        write_whole(path, lambda temporary: save_file(tensors, temporary, {KEY: self.key}))
        self._open(path)

    def _open(self, path: Path) -> None:
        try:
            shard: Any = safe_open(path, framework="numpy")
            key = (shard.metadata() or {}).get(KEY)
            names = shard.keys()
        except (SafetensorError, OSError) as error:
            raise FormatError(f"{path}: damaged feature cache ({error}); delete it") from error
        if key != self.key:
            raise FormatError(f"{path}: a feature cache of other features; delete this file")
        for name in names:
            self._shard_of[name.removeprefix(PREFIX)] = shard

    def __getitem__(self, clip_id: str) -> NDArray[np.float32]:
        clip: NDArray[np.float32] = self._shard_of[clip_id].get_tensor(PREFIX + clip_id)
        return clip

    def __iter__(self) -> Iterator[str]:
        return iter(self._shard_of)

    def __len__(self) -> int:
        return len(self._shard_of)
