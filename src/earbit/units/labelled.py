"""A decoded corpus, split for training: without units, or with units discovered or read back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from earbit.audio.clips import ClipTable, ReadClip, reading_from
from earbit.audio.corpus import (
    Corpus,
    decoded_corpus,
    naming_unusable,
    open_corpus,
    say_ignored,
)
from earbit.audio.training_split import training_split
from earbit.errors import ConfigError, DataError, FormatError
from earbit.files import make_folder, write_whole
from earbit.progress import progress
from earbit.units.discover import discover_units, write_units
from earbit.units.labels import UnitLabels, check_all_used, check_labels

LABELS = "labels.safetensors"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Clips to train on and to validate, and the units of their frames if known."""

    train: ClipTable
    valid: ClipTable
    read: ReadClip
    corpus_digest: str
    labels: UnitLabels | None = None

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the data for the description of a run."""
        return {"corpus": self.corpus_digest} | (
            {} if self.labels is None else label_digests(self.labels)
        )


def training_corpus(
    where: str,
    out_dir: Path,
    *,
    resplit: bool = False,
    check: Callable[[Corpus], object] | None = None,
) -> tuple[Corpus, Mapping[str, np.ndarray]]:
    """Opens a corpus as `open_training_corpus` and decodes it.

    check: called with the decoded corpus before anything is written.
    """
    return decoded_corpus(open_training_corpus(where, resplit=resplit), out_dir, check)


def open_training_corpus(where: str, *, resplit: bool = False) -> Corpus:
    """Opens a corpus without decoding it.

    Raises DataError if no clip remains for training or validation.
    """
    corpus = open_corpus(where, resplit=resplit)
    say_ignored(corpus)
    with naming_unusable(corpus):
        training_split(corpus)
    return corpus


def training_data(
    corpus: Corpus, waveforms: Mapping[str, np.ndarray], units_dir: Path, *, n_units: int, seed: int
) -> TrainingData:
    """Splits a corpus and discovers its units, or reads existing ones from `units_dir`.

    Units come from one k-means model, fitted on the training part.  Raises DataError for existing
    labels of another corpus, and ConfigError for another number of units or seed.
    """
    labels_path = units_dir / LABELS
    if not labels_path.exists():
        discover(corpus, waveforms, units_dir, n_units=n_units, seed=seed)
    labels = UnitLabels.load(labels_path)
    check_parameters(units_dir, labels, n_units=n_units, seed=seed)
    return labelled(corpus, waveforms, labels)


def check_parameters(units_dir: Path, labels: UnitLabels, *, n_units: int, seed: int) -> None:
    """Raises ConfigError if the labels in a folder have another feature, number or seed."""
    feature, there = labels.header.feature, (labels.n_units, _seed_of(units_dir))
    if feature != "mfcc":
        raise ConfigError(
            f"{units_dir}: holds units of the feature {feature}, requested: mfcc; give another "
            "--out"
        )
    if there != (n_units, seed):
        raise ConfigError(
            f"{units_dir}: holds {there[0]} units of seed {there[1]}, requested: {n_units} of "
            f"seed {seed}; give another --out"
        )


def unlabelled(corpus: Corpus, waveforms: Mapping[str, np.ndarray]) -> TrainingData:
    """Splits a corpus for an objective that needs no units."""
    train, valid = training_split(corpus)
    return TrainingData(train, valid, reading_from(waveforms), corpus.digest)


def labelled(
    corpus: Corpus, waveforms: Mapping[str, np.ndarray], labels: UnitLabels
) -> TrainingData:
    """Splits a corpus with known labels. Raises DataError for labels of another corpus."""
    train, valid = training_split(corpus)
    n_samples = {clip.id: clip.n_samples for clip in (*train, *valid)}
    check_labels(labels, corpus_digest=corpus.digest, n_samples=n_samples)
    return TrainingData(train, valid, reading_from(waveforms), corpus.digest, labels)


def units_in(folder: Path) -> UnitLabels:
    """Reads labels of `earbit units`; raises DataError for missing labels and dead units."""
    if not (folder / LABELS).is_file():
        raise DataError(f"{folder}: no {LABELS} in it; give a folder of `earbit units`")
    labels = UnitLabels.load(folder / LABELS)
    check_all_used(labels)
    return labels


def copy_units(source: Path, into: Path) -> None:
    """Copies units beside the model, because quantization needs them.

    Units that were made by another program need no k-means model and no report.  Raises ConfigError
    if the folder holds other units.
    """
    if (into / LABELS).exists():
        here, there = (UnitLabels.load(folder / LABELS).digest for folder in (into, source))
        if here != there:
            raise ConfigError(f"{into}: holds other units than {source}; give another --out")
        return
    make_folder(into)
    # Labels are written last: if they exist, so do the other files.
    for name in ("kmeans.safetensors", "units.json", LABELS):
        if (source / name).is_file():
            write_whole(into / name, partial(shutil.copyfile, source / name))


def label_digests(labels: UnitLabels) -> dict[str, str]:
    """Digests of the units of a run and of their corpus, for its description."""
    return {
        "labels": labels.digest,
        "kmeans": labels.header.kmeans_digest,
        "corpus": labels.corpus_digest,
    }


def _seed_of(units_dir: Path) -> Any:
    try:
        return json.loads((units_dir / "units.json").read_text(encoding="utf-8"))["seed"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{units_dir}/units.json: cannot be read ({error}); give another --out"
        ) from error


def discover(
    corpus: Corpus, waveforms: Mapping[str, np.ndarray], out_dir: Path, *, n_units: int, seed: int
) -> dict[str, Any]:
    """Writes MFCC units of a corpus to `out_dir`, with k-means fitted on its training part."""
    make_folder(out_dir)
    train, _ = training_split(corpus)
    with progress(f"units of {corpus.name}", len(waveforms)) as advance:
        kmeans, labels, quality = discover_units(
            waveforms,
            corpus_digest=corpus.digest,
            n_units=n_units,
            seed=seed,
            fit_ids=train.ids,
            phone_alignments=phone_alignments(corpus),
            progress=advance,
        )
    return write_units(out_dir, kmeans, labels, quality, seed=seed)


def phone_alignments(corpus: Corpus) -> dict[str, list[tuple[str, float, float]]] | None:
    """Phones with start_s and duration_s by cut, or None if no cut has phones."""
    known = {}
    for cut in corpus.cuts:
        for supervision in cut.supervisions:
            items = (supervision.alignment or {}).get("phone")
            if items:
                known[cut.id] = [(item.symbol, item.start, item.duration) for item in items]
    return known or None
