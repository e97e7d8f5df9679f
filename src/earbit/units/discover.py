"""Discovers units of a corpus: k-means on its training clips, then a unit for every frame.

Both passes read clip by clip, so memory does not grow with the corpus.  The ranks of a distributed
run share the clips of both, with the same result.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from earbit import distributed
from earbit.audio.clips import ClipTable, ReadClip, read_clip
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import DataError, require_range
from earbit.files import make_folder, write_json
from earbit.units.assign import label_clips
from earbit.units.fit import fit_units
from earbit.units.kmeans import KMeans
from earbit.units.labels import LabelHeader, UnitLabels, check_all_used
from earbit.units.mfcc import WINDOW_SAMPLES
from earbit.units.quality import PhoneCounts, UnitQuality, phones_at_rate, quality_of
from earbit.units.quarantine import write_lost
from earbit.units.sources import FeatureSource

Alignment = Sequence[tuple[str, float, float]]
"""Phones as (phone, start_s, duration_s)."""

LABELS = "labels.safetensors"
KMEANS = "kmeans.safetensors"
REPORT = "units.json"
FIRST_CENTRE_S = WINDOW_SAMPLES / 2 / SAMPLE_RATE_HZ
"""Centre of the receptive field of frame 0, for MFCC and hidden layers alike."""
LARGE_S = 100 * 3600
"""Training audio from which k-means of hidden features takes a part of the clips."""
LARGE_FRACTION = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitConfig:
    """How units are fitted."""

    n_units: int
    seed: int = 0
    fraction: float | None = None
    """Fraction of the training clips for k-means.

    None: 1, or 0.1 for hidden features of 100 hours or more, as in HuBERT.
    """
    memory_gb: float = 1.0
    """Maximum memory for the frames of k-means; of more, a random part of every clip is taken."""
    workers: int = -1
    """Processes that read audio; -1 chooses by the cores and the audio."""

    def __post_init__(self) -> None:
        require_range(2, 2**20, n_units=self.n_units)
        require_range(0, 2**32, seed=self.seed)
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise DataError(f"fraction={self.fraction}; allowed: above 0, at most 1")
        if not 0 < self.memory_gb < 2**20:
            raise DataError(f"memory_gb={self.memory_gb}; allowed: above 0")
        require_range(-1, 1024, workers=self.workers)


def with_fraction(config: UnitConfig, source: FeatureSource, train: ClipTable) -> UnitConfig:
    """The settings with the fraction that None stands for."""
    if config.fraction is not None:
        return config
    is_large = source.name != "mfcc" and train.duration_s >= LARGE_S
    return replace(config, fraction=LARGE_FRACTION if is_large else 1.0)


def discover_units(
    train: ClipTable,
    others: ClipTable,
    source: FeatureSource,
    config: UnitConfig,
    out_dir: Path,
    *,
    corpus_digest: str,
    read: ReadClip = read_clip,
    alignments: Iterable[tuple[str, Alignment]] = (),
) -> dict[str, Any]:
    """Writes kmeans.safetensors, labels.safetensors and units.json, and returns the last.

    k-means is fitted on `train`; `others` are labelled as well.  Unreadable clips are listed in
    quarantine.jsonl and have no labels.  An interrupted call keeps the k-means model and
    the labels of whole chunks.  alignments: clips with known phones.  Raises DataError for too
    little audio, features at another rate, and fewer than `n_units` units, as in silence.
    """
    every = ClipTable(chain(train, others))
    if source.require is not None:
        source.require(every)
    fraction = with_fraction(config, source, train).fraction
    assert fraction is not None
    fit = {
        "feature": source.name,
        "layer": source.layer,
        "model_digest": source.model_digest,
        "corpus_digest": corpus_digest,
        "n_units": config.n_units,
        "seed": config.seed,
        "fraction": fraction,
        "memory_gb": config.memory_gb,
    }
    parts = out_dir / ".parts"
    distributed.first(lambda: _only_labels_in(parts))
    kmeans_path = out_dir / KMEANS
    # Waiting threads make small products slower, and processes share the cores.
    with threadpool_limits(limits=1, user_api="blas") if source.in_workers else nullcontext():
        # Rank 0 decides: a shared disk may show the others an older state.
        kmeans = distributed.first(lambda: KMeans.load_if_fitted(kmeans_path, json.dumps(fit)))
        if kmeans is None:
            kmeans = fit_units(
                train,
                read,
                source,
                parts,
                n_units=config.n_units,
                seed=config.seed,
                fraction=fraction,
                memory_gb=config.memory_gb,
                n_workers=config.workers,
            )
            distributed.first(lambda: kmeans.save(kmeans_path, json.dumps(fit)))
        header = LabelHeader(
            source.name,
            source.layer,
            source.rate_hz,
            config.n_units,
            kmeans.digest,
            corpus_digest,
            source.model_digest,
        )
        labels, lost = label_clips(
            every,
            read,
            source,
            kmeans,
            parts / LABELS,
            header,
            parts,
            n_workers=config.workers,
        )
    check_all_used(labels)

    def finish() -> dict[str, Any]:
        write_lost(out_dir, every, lost)
        quality = quality_with(labels, alignments)
        return write_units(out_dir, labels, quality, {**fit, "n_unreadable": len(lost)})

    report = distributed.first(finish)
    distributed.first(lambda: shutil.rmtree(parts, ignore_errors=True))
    return report


def write_units(
    out_dir: Path, labels: UnitLabels, quality: UnitQuality, about: dict[str, Any]
) -> dict[str, Any]:
    """Writes units.json and labels.safetensors, and returns the first.  about: further entries."""
    report = {
        **about,
        **asdict(labels.header),
        "labels_digest": labels.digest,
        "n_utterances": len(labels.by_id),
        "quality": {name: value for name, value in asdict(quality).items() if value is not None},
        "histogram": labels.histogram.tolist(),
    }
    write_json(out_dir / REPORT, report)
    # Written last: if the labels exist, so do the other files.
    labels.save(out_dir / LABELS)
    return report


def quality_with(labels: UnitLabels, alignments: Iterable[tuple[str, Alignment]]) -> UnitQuality:
    """Use of units over all utterances. Purities over utterances with known phones."""
    phones = PhoneCounts(labels.n_units)
    for name, alignment in alignments:
        units = labels.by_id.get(name)
        if units is not None:
            rate_hz = labels.header.rate_hz
            phones.add(units, phones_at_rate(alignment, len(units), rate_hz, FIRST_CENTRE_S))
    return quality_of(labels.histogram, phones)


def _only_labels_in(folder: Path) -> None:
    """Removes what an interrupted call left, but for the labels that `label_clips` can take."""
    for path in make_folder(folder).iterdir():
        if not path.match("labels-*.safetensors"):
            path.unlink()
