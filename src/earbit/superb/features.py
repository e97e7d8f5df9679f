"""Frozen features: computed once per clip, used by every head of a sweep.

Letters: L hidden states, T frames, D width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import earbit
from earbit.errors import DataError
from earbit.files import make_folder
from earbit.model import AudioModel
from earbit.progress import progress
from earbit.superb.feature_shards import ShardedFeatures

Features = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Waveform (n_samples,) at 16 kHz -> all hidden states (L, T, D)."""

SHARD_BYTES = 64 * 10**6


@dataclass(frozen=True, kw_only=True, slots=True)
class FrozenFeatures:
    """Features of clips, and what they were made from."""

    clips: Mapping[str, NDArray[np.float32]]
    """(n_states, n_frames, width) by id."""
    n_states: int
    width: int
    model_digest: str
    corpus_digest: str


def model_features(model: AudioModel) -> Features:
    """All hidden states of a PyTorch model, which is put into evaluation mode."""
    model.eval()
    device = next(model.parameters()).device

    @torch.inference_mode()
    def features(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        wave_1N = torch.from_numpy(np.asarray(waveform, np.float32))[None].to(device)
        states = model(wave_1N).states
        states_LTD: NDArray[np.float32] = torch.cat(states).float().cpu().numpy()
        return states_LTD

    return features


def cached_features(
    features: Features,
    waveforms: Mapping[str, NDArray[np.float32]],
    ids: Iterable[str],
    *,
    model_digest: str,
    corpus_digest: str,
    cache_dir: Path,
) -> FrozenFeatures:
    """Features of every clip in `ids`, each computed alone, so that nothing depends on padding.

    Full frames are kept as float32 below `cache_dir`, in a folder named by model, corpus and
    version, where a second call finds them.  model_digest: of the weights, or of the program that
    computes instead of them.  Raises DataError for an id without audio, for features that are not
    finite, and for a full disk.
    """
    wanted = sorted(set(ids))
    if not wanted:
        raise DataError("no clips to compute features of; the splits are empty")
    missing = [i for i in wanted if i not in waveforms]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(wanted)} clips have no audio, first {missing[0]!r}; "
            "decode the whole corpus"
        )
    store = _shards(cache_dir, model_digest, corpus_digest)
    todo = [i for i in wanted if i not in store]
    first = features(waveforms[todo[0]]) if todo else store[wanted[0]]
    shape = (first.shape[0], first.shape[-1])
    pending: dict[str, NDArray[np.float32]] = {}
    n_bytes = 0
    with progress("features", len(wanted), len(wanted) - len(todo)) as advance:
        for i in todo:
            clip = first if i == todo[0] else features(waveforms[i])
            pending[i] = _checked(clip, i, shape)
            n_bytes += clip.nbytes
            if n_bytes >= SHARD_BYTES:
                store.add(pending)
                pending, n_bytes = {}, 0
            advance(1)
        if pending:
            store.add(pending)
    return FrozenFeatures(
        clips=store,
        n_states=shape[0],
        width=shape[1],
        model_digest=model_digest,
        corpus_digest=corpus_digest,
    )


def _shards(cache_dir: Path, model_digest: str, corpus_digest: str) -> ShardedFeatures:
    parts = [earbit.__version__, model_digest, corpus_digest]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return ShardedFeatures(make_folder(cache_dir / key[:24]), key)


def _checked(
    clip: NDArray[np.float32], clip_id: str, shape: tuple[int, int]
) -> NDArray[np.float32]:
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
