"""Features of clips that units are clustered from: MFCC, or features of another program."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from earbit.audio.clips import Clip
from earbit.errors import ConfigError, DataError
from earbit.units.mfcc import MFCC_RATE_HZ, mfcc

Array = NDArray[np.float32]
DIGESTED_BYTES = 4096
"""Bytes at the end of a file that identify its features, beside name and size."""
Audio = Callable[[], Array]
"""Reads the audio of a clip; raises DataError if it cannot be decoded."""


@dataclass(frozen=True, kw_only=True)
class FeatureSource:
    """A kind of features."""

    name: str
    """"mfcc", "hidden" or "features"."""
    rate_hz: float
    """Frames per second."""
    compute: Callable[[Clip, Audio], Array]
    """Clip and its audio -> (frames, dimensions); raises DataError for audio that has none."""
    layer: int | None = None
    """Layer of hidden features, counted from 1."""
    model_digest: str | None = None
    """Digest of the model of hidden features, or of the files of given ones."""
    in_workers: bool = True
    """Whether worker processes may compute; otherwise they only decode audio."""
    require: Callable[[Iterable[Clip]], None] | None = None
    """Checks clips before work begins; raises DataError."""


def mfcc_source() -> FeatureSource:
    """MFCC at 100 Hz, the features of the first iteration."""
    return FeatureSource(
        name="mfcc", rate_hz=MFCC_RATE_HZ, compute=lambda clip, audio: mfcc(audio())
    )


def folder_source(folder: Path, *, rate_hz: float, layer: int | None = None) -> FeatureSource:
    """Features of another program: ID.npy for each clip, (frames, dimensions) or with layers first.

    layer: index of the first axis, which is 0 for the input of the first layer if the program
    stores that too; needed if the files have several layers.  Raises ConfigError for a missing
    folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; --features DIR holds a file ID.npy per clip")
    if not 0 < rate_hz < np.inf:
        raise ConfigError(f"rate_hz={rate_hz}; allowed: above 0, the frames per second")

    def compute(clip: Clip, audio: Audio) -> Array:
        states_LTD = read_features(folder, clip.id)
        n_states = len(states_LTD)
        if layer is None and n_states > 1:
            raise ConfigError(
                f"{folder}: features of {n_states} layers; choose one with --layer 0 to "
                f"{n_states - 1}"
            )
        if layer is not None and not 0 <= layer < n_states:
            raise ConfigError(f"--layer {layer}; allowed: 0 to {n_states - 1} in {folder}")
        return np.asarray(states_LTD[layer or 0])

    def require(clips: Iterable[Clip]) -> None:
        missing = [clip.id for clip in clips if not _file_of(folder, clip.id).is_file()]
        if missing:
            raise DataError(
                f"{folder}: no features of {len(missing)} clips, the first is {missing[0]}.npy; "
                "add them, or leave these clips out of the corpus"
            )

    return FeatureSource(
        name="features",
        rate_hz=rate_hz,
        compute=compute,
        layer=layer,
        model_digest=folder_digest(folder),
        require=require,
    )


def folder_digest(folder: Path) -> str:
    """SHA-256 over names, sizes and the last 4 KB of the .npy files below a folder.

    Raises DataError if a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.npy")):
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - DIGESTED_BYTES))
                digest.update(json.dumps([str(path.relative_to(folder)), size]).encode())
                digest.update(file.read())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def read_features(folder: Path, clip_id: str) -> Array:
    """Features ID.npy of a clip as (layers, frames, dimensions).

    Raises DataError without them, and for an array of no values.
    """
    path = _file_of(folder, clip_id)
    try:
        array = np.asarray(np.load(path, allow_pickle=False), np.float32)
    except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: no features for clip {clip_id!r} ({error})") from error
    if not array.size:
        raise DataError(
            f"{path}: features of shape {array.shape}, without a value; expected (frames, "
            "dimensions), or (layers, frames, dimensions)"
        )
    return array if array.ndim == 3 else array[None]


def _file_of(folder: Path, clip_id: str) -> Path:
    return folder / f"{clip_id}.npy"
