"""Computes frozen features once per clip and caches them for all heads of a sweep.

Letters: L hidden states, T frames, D width.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import earbit
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import DataError
from earbit.files import make_folder
from earbit.frames import HOP_SAMPLES
from earbit.progress import progress, say
from earbit.upstream.feature_store import Array, Clips, ComputedFeatures, ShardedFeatures
from earbit.upstream.upstream import Upstream

CacheName = Literal["fp32", "fp16", "none"]
SHARD_BYTES = 64 * 10**6
SAID_FROM_BYTES = 10**8
"""Caches from this size on are announced."""


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
    cache: CacheName = "fp32"
    """Precision of the cache."""
    device: str = "cpu"
    """Device on which heads are trained."""


def frozen_features(
    upstream: Upstream,
    waveform_of: Callable[[str], Array],
    n_frames_of: Mapping[str, int],
    *,
    corpus_digest: str,
    cache_dir: Path,
    cache: CacheName = "fp32",
) -> tuple[FrozenFeatures, dict[str, str]]:
    """Computes the features of clips, or reads them from the cache.

    waveform_of: id -> waveform; raises DataError for unusable audio.  n_frames_of: expected frames
    of every clip to compute, at the hop of the upstream.  Each clip is computed alone, so results
    do not depend on padding.  cache: precision of the cache, a folder below `cache_dir`, named by
    upstream, corpus, precision and version; with `none`, features are computed once here to check
    them, and again at every access.  Returns the features, and the reason for each unusable clip.
    Raises DataError for features that are not finite, and for a disk with too little free space.
    """
    wanted = sorted(n_frames_of)
    if not wanted:
        raise DataError("no clips to compute features of; the splits are empty")

    def computed(clip_id: str) -> Array:
        clip = upstream.features(clip_id, functools.partial(_audio, waveform_of, clip_id))
        return np.asarray(clip, np.float32)

    dtype = np.float16 if cache == "fp16" else np.float32
    store: ComputedFeatures | ShardedFeatures = ComputedFeatures(computed)
    if cache != "none":
        parts = [earbit.__version__, upstream.digest, corpus_digest, cache]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        store = ShardedFeatures(make_folder(cache_dir / key[:24]), key)
    todo = [i for i in wanted if i not in store]
    shape = next((store[i].shape for i in wanted if i in store), None)
    unusable: dict[str, str] = {}
    pending: dict[str, NDArray[Any]] = {}
    n_bytes = n_added = 0
    with progress("features", len(wanted), len(wanted) - len(todo)) as advance:
        try:
            for i in todo:
                try:
                    clip = computed(i)
                except _UnusableAudio as error:
                    unusable[i] = str(error)
                    continue
                shape = shape or clip.shape
                pending[i] = _checked(clip, i, (shape[0], shape[-1]), dtype)
                if not n_added and cache != "none":
                    n_frames = sum(n_frames_of[i] for i in todo)
                    hours = n_frames * upstream.hop_samples / SAMPLE_RATE_HZ / 3600
                    n_needed = n_frames * shape[0] * shape[-1] * np.dtype(dtype).itemsize
                    _check_disk(
                        cache_dir, f"features of {len(todo):,} clips ({hours:.1f} h)", n_needed
                    )
                n_added += 1
                n_bytes += pending[i].nbytes
                if n_bytes >= SHARD_BYTES:
                    store.add(pending)
                    pending, n_bytes = {}, 0
                advance(1)
        except KeyboardInterrupt:
            if pending:
                store.add(pending)
            raise
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
        cache=cache,
        device=upstream.device,
    )
    return frozen, unusable


class _UnusableAudio(Exception):
    """Raised instead of the DataError of a waveform, to tell it from faults of the upstream."""


def _audio(waveform_of: Callable[[str], Array], clip: str) -> Array:
    try:
        return waveform_of(clip)
    except DataError as error:
        raise _UnusableAudio(str(error)) from error


def _check_disk(folder: Path, what: str, n_bytes: int) -> None:
    """Says what a cache needs; raises DataError if the disk has less."""
    n_free = shutil.disk_usage(folder).free
    need = f"{folder}: {what} take {n_bytes / 1e9:.1f} GB of {n_free / 1e9:.1f} GB free"
    if n_bytes > n_free:
        raise DataError(f"{need}; free some, or use --cache fp16 (half of fp32) or none")
    if n_bytes >= SAID_FROM_BYTES:
        say(f"{need} until the score is written (--cache fp16: half of fp32; none: no disk)")


def _checked(clip: Array, clip_id: str, shape: tuple[int, int], dtype: type[Any]) -> NDArray[Any]:
    """The features of a clip as they are stored."""
    if clip.ndim != 3 or not clip.shape[1] or (clip.shape[0], clip.shape[2]) != shape:
        raise DataError(
            f"features of {clip_id!r} have shape {clip.shape}, expected "
            f"({shape[0]} states, frames, {shape[1]}); return all hidden states, unpadded"
        )
    if not np.isfinite(clip).all():
        raise DataError(
            f"features of {clip_id!r} are not finite; look at the clip and at the model's weights"
        )
    with np.errstate(over="ignore"):
        stored = clip.astype(dtype, copy=False)
    if not np.isfinite(stored).all():
        raise DataError(
            f"features of {clip_id!r} reach {np.abs(clip).max():.3g}, and fp16 ends at 65,504; "
            "use --cache fp32 or none"
        )
    return stored
