"""Discovers units of a corpus: features, k-means on the training part, a label per frame."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import DataError
from earbit.files import make_folder, write_json
from earbit.units.kmeans import KMeans, fit_kmeans
from earbit.units.labels import MAX_DRIFT_S, LabelHeader, UnitLabels, check_all_used, too_few_units
from earbit.units.mfcc import MFCC_RATE_HZ, WINDOW_SAMPLES, mfcc
from earbit.units.quality import UnitQuality, phones_at_rate, unit_quality

Features = Callable[[np.ndarray], np.ndarray]
"""Waveform (samples,) -> features (frames, dimensions)."""
Alignment = Sequence[tuple[str, float, float]]
"""Phones as (phone, start_s, duration_s)."""

FIRST_CENTRE_S = WINDOW_SAMPLES / 2 / SAMPLE_RATE_HZ
"""Centre of the receptive field of frame 0, for MFCC and hidden layers alike."""
DISTINCT = 1e-5
"""Frames that differ by less than this fraction of the largest value count as equal."""
MAX_FIT_FRAMES = 2_000_000
"""Maximum number of frames for k-means, 312 MB of MFCC; more are subsampled randomly."""


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
    """Labels every utterance after fitting k-means on `fit_ids`, or on all utterances.

    In the second iteration, `features` are a hidden layer of the first model.  All features
    are held in memory, 56 MB per hour of audio for MFCC.  The order of the utterances does not
    matter.  Raises DataError for too little audio, unknown fit_ids, features at another rate, and
    fewer than `n_units` units, as in silence.
    """
    by_id: dict[str, np.ndarray] = {}
    # Sorted, so that the order of the corpus does not change the units.
    for name in sorted(waveforms):
        by_id[name] = features(waveforms[name])
        _check_rate(name, len(by_id[name]), rate_hz, waveforms[name].size)
        if progress is not None:
            progress(1)
    chosen = set(by_id if fit_ids is None else fit_ids)
    unknown = sorted(chosen - set(by_id))
    if unknown:
        raise DataError(
            f"fit_ids names {len(unknown)} utterances without audio, the first is {unknown[0]!r}; "
            "leave them out"
        )
    wanted = [name for name in by_id if name in chosen]
    if not wanted:
        raise DataError("no utterance to fit k-means on; the training part is empty")
    frames = np.concatenate([by_id[name] for name in wanted])
    if len(frames) > MAX_FIT_FRAMES:
        random = np.random.default_rng(seed)
        frames = frames[np.sort(random.choice(len(frames), MAX_FIT_FRAMES, replace=False))]
    _check_distinct(frames, n_units)
    kmeans = fit_kmeans(frames, n_units=n_units, seed=seed)
    header = LabelHeader(feature_name, layer, rate_hz, n_units, kmeans.digest, corpus_digest)
    labels = UnitLabels(header, {name: kmeans.assign(x) for name, x in by_id.items()})
    check_all_used(labels)
    return kmeans, labels, _quality(labels, phone_alignments)


def write_units(
    out_dir: Path, kmeans: KMeans, labels: UnitLabels, quality: UnitQuality, *, seed: int
) -> dict[str, Any]:
    """Writes kmeans.safetensors, labels.safetensors and units.json, and returns the last.

    Raises DataError for labels of another k-means model and a folder that is not writable.
    """
    if labels.header.kmeans_digest != kmeans.digest:
        raise DataError(
            f"labels of k-means model {labels.header.kmeans_digest[:12]}, given with "
            f"{kmeans.digest[:12]}; write what one call of discover_units returned"
        )
    out_dir = make_folder(out_dir)
    kmeans.save(out_dir / "kmeans.safetensors")
    figures = {name: value for name, value in asdict(quality).items() if value is not None}
    units = np.concatenate(list(labels.by_id.values()))
    report = {
        **asdict(labels.header),
        "labels_digest": labels.digest,
        "n_utterances": len(labels.by_id),
        "seed": seed,
        "quality": figures,
        "histogram": np.bincount(units, minlength=labels.n_units).tolist(),
    }
    write_json(out_dir / "units.json", report)
    # Written last: if the labels exist, so do the other files.
    labels.save(out_dir / "labels.safetensors")
    return report


def _check_distinct(frames: np.ndarray, n_units: int) -> None:
    """Raises DataError before k-means if there are fewer distinct frames than units."""
    step = DISTINCT * float(np.abs(frames).max(initial=0.0))
    if len(frames) < n_units or not np.isfinite(step):
        return  # k-means raises errors for these
    distinct: set[bytes] = set()
    for row in frames:
        # Frames of silence differ in their last bits, depending on their place in a block.
        distinct.add((np.round(row / step if step else row) + 0.0).tobytes())  # -0 is 0
        if len(distinct) == n_units:
            return
    raise too_few_units(len(distinct), n_units)


def _check_rate(name: str, n_frames: int, rate_hz: float, n_samples: int) -> None:
    features_s, audio_s = n_frames / rate_hz, n_samples / SAMPLE_RATE_HZ
    if abs(features_s - audio_s) > MAX_DRIFT_S:
        raise DataError(
            f"{name!r}: {n_frames} feature frames are {features_s:.2f} s at rate_hz={rate_hz:g}, "
            f"the audio is {audio_s:.2f} s; give the rate that the features have"
        )


def _quality(labels: UnitLabels, alignments: Mapping[str, Alignment] | None) -> UnitQuality:
    """Use of units over all utterances. Purities over utterances with known phones."""
    whole = unit_quality(np.concatenate(list(labels.by_id.values())), labels.n_units)
    units, phones = [], []
    for name, alignment in (alignments or {}).items():
        if name in labels.by_id:
            units.append(labels.by_id[name])
            rate_hz = labels.header.rate_hz
            phones += phones_at_rate(alignment, len(units[-1]), rate_hz, FIRST_CENTRE_S)
    if not units:
        return whole
    aligned = unit_quality(np.concatenate(units), labels.n_units, phones)
    return replace(
        whole,
        phone_purity=aligned.phone_purity,
        cluster_purity=aligned.cluster_purity,
        pnmi=aligned.pnmi,
    )
