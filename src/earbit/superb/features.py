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
from earbit.config import to_dict
from earbit.errors import ConfigError, DataError
from earbit.files import make_folder
from earbit.model import AudioModel
from earbit.nn.leaves import Conv1d, Linear, MatMul
from earbit.progress import progress
from earbit.superb.feature_shards import ShardedFeatures

Features = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Waveform (n_samples,) at 16 kHz -> all hidden states (L, T, D)."""

MEMORY_CAP_BYTES = 2 * 10**9
"""Features above this are not kept in memory."""
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


def weights_digest(model: AudioModel) -> str:
    """SHA-256 over configuration, precisions and every tensor of a model."""
    precisions = {
        name: [leaf.precision.weight_bits, leaf.precision.activation_bits]
        for name, leaf in model.named_modules()
        if isinstance(leaf, (Linear, Conv1d, MatMul))
    }
    digest = hashlib.sha256(json.dumps([to_dict(model.config), precisions]).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def cached_features(
    features: Features,
    waveforms: Mapping[str, NDArray[np.float32]],
    ids: Iterable[str],
    *,
    model_digest: str,
    corpus_digest: str,
    cache_dir: Path | None = None,
) -> FrozenFeatures:
    """Features of every clip in `ids`, each computed alone, so that nothing depends on padding.

    Full frames are kept as float32: in memory up to MEMORY_CAP_BYTES, or below `cache_dir` in a
    folder named by model, corpus and version, where a second call finds them.  Raises DataError
    for an id without audio and for features that are not finite; ConfigError when memory is not
    enough.
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
    store = _Memory() if cache_dir is None else _shards(cache_dir, model_digest, corpus_digest)
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


class _Memory(dict[str, NDArray[np.float32]]):
    """A feature store that ends with the process."""

    n_bytes = 0

    def add(self, clips: Mapping[str, NDArray[np.float32]]) -> None:
        self.n_bytes += sum(clip.nbytes for clip in clips.values())
        if self.n_bytes > MEMORY_CAP_BYTES:
            raise ConfigError(
                f"features of {len(self) + len(clips)} clips take over "
                f"{MEMORY_CAP_BYTES / 1e9:g} GB of memory; give cache_dir, a folder to keep them in"
            )
        self.update(clips)


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
