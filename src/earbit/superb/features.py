"""Computes frozen features once per clip and caches them for all heads of a sweep.

Letters: L hidden states, T frames, D width.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

import earbit
from earbit.errors import DataError, FormatError
from earbit.files import make_folder, write_whole
from earbit.frames import HOP_SAMPLES
from earbit.progress import progress, say
from earbit.superb.upstream import Upstream

Array = NDArray[np.float32]
Clips = Mapping[str, Array]
SHARD_BYTES = 64 * 10**6
KEY = "earbit-features"
SAID_FROM_BYTES = 10**9
"""Caches from this size on are announced."""
PREFIX = "clip:"
"""Prefix of every id, since safetensors reserves some names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenFeatures:
    """Features of clips and the model and corpus that they come from."""

    clips: Clips
    """(n_states, n_frames, width) by id."""
    n_states: int
    width: int
    model_digest: str
    corpus_digest: str
    hop_samples: int = HOP_SAMPLES
    """Hop between frames at 16 kHz."""


def frozen_features(
    upstream: Upstream,
    waveform_of: Callable[[str], Array],
    n_frames_of: Mapping[str, int],
    *,
    corpus_digest: str,
    cache_dir: Path,
) -> tuple[FrozenFeatures, dict[str, str]]:
    """Computes the features of clips, or reads them from the cache.

    waveform_of: id -> waveform; raises DataError for unusable audio.  n_frames_of: expected frames
    of every clip to compute, at the hop of the upstream.  Each clip is computed alone, so results
    do not depend on padding.  The cache is a folder below `cache_dir`, named by upstream,
    corpus and version, and holds float32.  Returns the features, and the reason for each unusable
    clip.  Raises DataError for features that are not finite, and for a full disk.
    """
    wanted = sorted(n_frames_of)
    if not wanted:
        raise DataError("no clips to compute features of; the splits are empty")
    key = hashlib.sha256(
        json.dumps([earbit.__version__, upstream.digest, corpus_digest]).encode()
    ).hexdigest()
    store = ShardedFeatures(make_folder(cache_dir / key[:24]), key)
    todo = [i for i in wanted if i not in store]
    shape = next((store[i].shape for i in wanted if i in store), None)
    unusable: dict[str, str] = {}
    pending: dict[str, Array] = {}
    n_bytes = 0
    with progress("features", len(wanted), len(wanted) - len(todo)) as advance:
        for i in todo:
            try:
                clip = upstream.features(i, functools.partial(_audio, waveform_of, i))
            except _UnusableAudio as error:
                unusable[i] = str(error)
                continue
            if shape is None:
                shape = clip.shape
                _say_disk(cache_dir, sum(n_frames_of[i] for i in todo) * shape[0] * shape[-1] * 4)
            pending[i] = _checked(clip, i, (shape[0], shape[-1]))
            n_bytes += clip.nbytes
            if n_bytes >= SHARD_BYTES:
                store.add(pending)
                pending, n_bytes = {}, 0
            advance(1)
        if pending:
            store.add(pending)
    if shape is None:
        first = next(iter(unusable))
        raise DataError(f"no usable clip among {len(wanted)}; the first: {unusable[first]}")
    if unusable:
        first = next(iter(unusable))
        say(f"{len(unusable)} of {len(wanted)} clips left out, the first: {unusable[first]}")
    frozen = FrozenFeatures(
        clips=store,
        n_states=shape[0],
        width=shape[-1],
        model_digest=upstream.model_digest or upstream.digest,
        corpus_digest=corpus_digest,
        hop_samples=upstream.hop_samples,
    )
    return frozen, unusable


class _UnusableAudio(Exception):
    """Raised instead of the DataError of a waveform, to tell it from faults of the upstream."""


def _audio(waveform_of: Callable[[str], Array], clip: str) -> Array:
    try:
        return waveform_of(clip)
    except DataError as error:
        raise _UnusableAudio(str(error)) from error


def _say_disk(cache_dir: Path, n_bytes: int) -> None:
    if n_bytes >= SAID_FROM_BYTES:
        say(f"{cache_dir}: features take {n_bytes / 1e9:.1f} GB until the score is written")


class ShardedFeatures(Mapping[str, Array]):
    """Feature cache: safetensors shards in one folder, read clip by clip.

    Shards are written atomically and never change, so an interrupted run resumes and two runs may
    share a folder.  Raises FormatError for a shard that is damaged or has another key.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key
        self._shard_of: dict[str, Any] = {}
        for path in sorted(folder.glob("shard-*.safetensors")):
            self._open(path)

    def add(self, clips: Clips) -> None:
        """Writes a shard; its file name is determined by the clips."""
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
        self._shard_of |= {name.removeprefix(PREFIX): shard for name in names}

    def __getitem__(self, clip_id: str) -> Array:
        clip: Array = self._shard_of[clip_id].get_tensor(PREFIX + clip_id)
        return clip

    def __iter__(self) -> Iterator[str]:
        return iter(self._shard_of)

    def __len__(self) -> int:
        return len(self._shard_of)


def _checked(clip: Array, clip_id: str, shape: tuple[int, int]) -> Array:
    if clip.ndim != 3 or not clip.shape[1] or (clip.shape[0], clip.shape[2]) != shape:
        raise DataError(
            f"features of {clip_id!r} have shape {clip.shape}, expected "
            f"({shape[0]} states, frames, {shape[1]}); return all hidden states, unpadded"
        )
    if not np.isfinite(clip).all():
        raise DataError(
            f"features of {clip_id!r} are not finite; look at the clip and at the model's weights"
        )
    return np.asarray(clip, np.float32)
