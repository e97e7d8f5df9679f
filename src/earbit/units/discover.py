"""Units of a corpus: features, k-means on the training part, a label for every frame."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from earbit.errors import DataError
from earbit.files import write_json
from earbit.units.kmeans import KMeans, fit_kmeans
from earbit.units.labels import LabelHeader, UnitLabels
from earbit.units.mfcc import MFCC_RATE_HZ, mfcc
from earbit.units.quality import UnitQuality, phones_at_rate, unit_quality

Features = Callable[[np.ndarray], np.ndarray]
"""Waveform (samples,) -> features (frames, dimensions)."""
Alignment = Sequence[tuple[str, float, float]]
"""Phones as (phone, start_s, duration_s)."""

MAX_FIT_FRAMES = 2_000_000
"""K-means sees a random part of more frames than this: 312 MB of 39-dimensional MFCC."""


def discover_units(
    waveforms: Mapping[str, np.ndarray],
    *,
    corpus_digest: str,
    n_units: int,
    seed: int,
    features: Features = mfcc,
    feature_name: str = "mfcc",
    layer: int | None = None,
    rate_hz: float = MFCC_RATE_HZ,
    fit_ids: Collection[str] | None = None,
    phone_alignments: Mapping[str, Alignment] | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[KMeans, UnitLabels, UnitQuality]:
    """Labels every utterance; k-means is fitted on `fit_ids` only, where they are given.

    `features` of the second iteration are those of a hidden layer of the first model.  All features
    are held in memory, 56 MB per hour of audio for MFCC.  Raises DataError for too little audio.
    """
    by_id: dict[str, np.ndarray] = {}
    for name, waveform in waveforms.items():
        by_id[name] = features(waveform)
        if progress is not None:
            progress(1)
    wanted = list(by_id) if fit_ids is None else [name for name in by_id if name in set(fit_ids)]
    if not wanted:
        raise DataError("no utterance to fit k-means on; the training part is empty")
    frames = np.concatenate([by_id[name] for name in wanted])
    if len(frames) > MAX_FIT_FRAMES:
        random = np.random.default_rng(seed)
        frames = frames[np.sort(random.choice(len(frames), MAX_FIT_FRAMES, replace=False))]
    kmeans = fit_kmeans(frames, n_units=n_units, seed=seed)
    header = LabelHeader(feature_name, layer, rate_hz, n_units, kmeans.digest, corpus_digest)
    labels = UnitLabels(header, {name: kmeans.assign(x) for name, x in by_id.items()})
    return kmeans, labels, _quality(labels, phone_alignments)


def write_units(
    out_dir: Path, kmeans: KMeans, labels: UnitLabels, quality: UnitQuality, *, seed: int
) -> dict[str, Any]:
    """Writes kmeans.safetensors, labels.safetensors and units.json, and returns the last."""
    kmeans.save(out_dir / "kmeans.safetensors")
    figures = {name: value for name, value in asdict(quality).items() if value is not None}
    report = {
        **asdict(labels.header),
        "labels_digest": labels.digest,
        "n_utterances": len(labels.by_id),
        "seed": seed,
        "quality": figures,
    }
    write_json(out_dir / "units.json", report)
    # Last: whoever finds the labels finds the rest too.
    labels.save(out_dir / "labels.safetensors")
    return report


def _quality(labels: UnitLabels, alignments: Mapping[str, Alignment] | None) -> UnitQuality:
    if not alignments:
        return unit_quality(np.concatenate(list(labels.by_id.values())), labels.n_units)
    units, phones = [], []
    for name, alignment in alignments.items():
        if name in labels.by_id:
            units.append(labels.by_id[name])
            phones += phones_at_rate(alignment, len(units[-1]), labels.header.rate_hz)
    return unit_quality(np.concatenate(units), labels.n_units, phones)
