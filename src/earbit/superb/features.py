"""Computes frozen features once per clip and caches them for all heads of a sweep.

Letters: L hidden states, T frames, D width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

import earbit
from earbit.errors import DataError, FormatError
from earbit.files import make_folder, write_whole
from earbit.model import AudioModel
from earbit.progress import progress

Features = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Waveform (n_samples,) at 16 kHz -> all hidden states (L, T, D)."""
Clips = Mapping[str, NDArray[np.float32]]
SHARD_BYTES = 64 * 10**6
KEY = "earbit-features"
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


def model_features(model: AudioModel) -> Features:
    """Extractor of all hidden states of a PyTorch model; puts the model into evaluation mode."""
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
    waveforms: Clips,
    ids: Iterable[str],
    *,
    model_digest: str,
    corpus_digest: str,
    cache_dir: Path,
) -> FrozenFeatures:
    """Computes the features of every clip in `ids`, or reads them from the cache.

    Each clip is computed alone, so results do not depend on padding.  The cache is a folder below
    `cache_dir`, named by model, corpus and version, and holds float32.  model_digest: digest of the
    weights, or of the program that computes the features.  Raises DataError for an id without
    audio, for features that are not finite, and for a full disk.
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
    key = hashlib.sha256(
        json.dumps([earbit.__version__, model_digest, corpus_digest]).encode()
    ).hexdigest()
    store = ShardedFeatures(make_folder(cache_dir / key[:24]), key)
    todo = [i for i in wanted if i not in store]
    first = features(waveforms[todo[0]]) if todo else store[wanted[0]]
    shape = (first.shape[0], first.shape[-1])
    pending: dict[str, NDArray[np.float32]] = {}
    n_bytes = 0
    with progress("features", len(wanted), len(wanted) - len(todo)) as advance:
        for i in todo:
            pending[i] = _checked(first if i == todo[0] else features(waveforms[i]), i, shape)
            n_bytes += pending[i].nbytes
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


class ShardedFeatures(Mapping[str, NDArray[np.float32]]):
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

    def __getitem__(self, clip_id: str) -> NDArray[np.float32]:
        clip: NDArray[np.float32] = self._shard_of[clip_id].get_tensor(PREFIX + clip_id)
        return clip

    def __iter__(self) -> Iterator[str]:
        return iter(self._shard_of)

    def __len__(self) -> int:
        return len(self._shard_of)


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
