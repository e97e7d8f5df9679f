"""The data of a training: clips of a corpus, without units, or with units discovered or read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from earbit import distributed
from earbit.audio.clips import ClipTable, ReadClip, read_clip
from earbit.audio.corpus import say_ignored
from earbit.audio.inputs import open_input
from earbit.audio.quarantine import QUARANTINE_NAME
from earbit.audio.training_corpus import TrainingCorpus, open_clips
from earbit.errors import ConfigError, DataError, FormatError
from earbit.files import make_folder, write_whole
from earbit.progress import say
from earbit.units.discover import (
    KMEANS,
    LABELS,
    REPORT,
    Alignment,
    UnitConfig,
    discover_units,
    with_fraction,
)
from earbit.units.labels import UnitLabels, check_all_used, check_labels
from earbit.units.quarantine import lost_ids
from earbit.units.sources import FeatureSource, mfcc_source


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


def open_training_corpus(where: str, *, resplit: bool = False) -> TrainingCorpus:
    """Opens a corpus without decoding it, and prints what is not read.

    Raises DataError if no clip remains for training or validation.
    """
    corpus = open_clips(where, resplit=resplit)
    say_ignored(corpus)
    return corpus


def training_data(
    where: str,
    corpus: TrainingCorpus,
    units_dir: Path,
    config: UnitConfig,
    source: FeatureSource | None = None,
) -> TrainingData:
    """Discovers the units of a corpus, or reads existing ones from `units_dir`.

    where: the corpus by name, whose phones are read for the report.  source: features, by default
    MFCC.  Raises DataError for existing labels of another corpus, and ConfigError for those of
    other features, numbers or seeds.
    """
    source = source or mfcc_source()
    if not distributed.first((units_dir / LABELS).exists):
        discover(where, corpus, units_dir, config, source)
    labels = UnitLabels.load(units_dir / LABELS)
    check_parameters(units_dir, labels, with_fraction(config, source, corpus.train), source)
    return labelled(corpus, labels, lost_ids(units_dir))


def discover(
    where: str,
    corpus: TrainingCorpus,
    out_dir: Path,
    config: UnitConfig,
    source: FeatureSource | None = None,
) -> dict[str, Any]:
    """Writes units of a corpus to `out_dir`, with k-means fitted on its training part."""
    distributed.first(lambda: make_folder(out_dir) and None)
    report = discover_units(
        corpus.train,
        corpus.valid,
        source or mfcc_source(),
        config,
        out_dir,
        corpus_digest=corpus.digest,
        alignments=phone_alignments(where),
    )
    say(described(report))
    return report


def described(report: Mapping[str, Any]) -> str:
    """The quality of units in units.json, in one line."""
    quality = report["quality"]
    layer = "" if report["layer"] is None else f", layer {report['layer']}"
    n_units, n_dead = report["n_units"], quality["n_dead_units"]
    phones = (
        f"; phone purity {100 * quality['phone_purity']:.1f} %, PNMI {quality['pnmi']:.3f}"
        if "phone_purity" in quality
        else ""
    )
    return (
        f"{n_units} units of {report['feature']}{layer} at {report['rate_hz']:g} Hz in "
        f"{report['n_utterances']:,} utterances, {quality['n_frames']:,} frames; entropy "
        f"{quality['entropy_bits']:.2f} of {np.log2(n_units):.2f} bits, {n_dead} dead units{phones}"
    )


def check_parameters(
    units_dir: Path, labels: UnitLabels, config: UnitConfig, source: FeatureSource
) -> None:
    """Raises ConfigError if the units in a folder are of another feature, number or seed.

    The fraction is compared if it is given; `with_fraction` resolves its default.
    """
    there, here = labels.header, source
    if there.feature != here.name:
        raise ConfigError(
            f"{units_dir}: holds units of the feature {there.feature}, requested: {here.name}; "
            "give another --out"
        )
    if (there.layer, there.model_digest) != (here.layer, here.model_digest):
        raise ConfigError(
            f"{units_dir}: holds units of layer {there.layer} of {_short(there.model_digest)}, "
            f"requested: layer {here.layer} of {_short(here.model_digest)}; give another --out"
        )
    if there.rate_hz != here.rate_hz:
        raise ConfigError(
            f"{units_dir}: holds units at {there.rate_hz:g} Hz, requested: {here.rate_hz:g} Hz; "
            "give another --out"
        )
    report = _report_of(units_dir)
    found = (labels.n_units, report["seed"])
    if found != (config.n_units, config.seed):
        raise ConfigError(
            f"{units_dir}: holds {found[0]} units of seed {found[1]}, requested: {config.n_units} "
            f"of seed {config.seed}; give another --out"
        )
    for name in ("fraction", "memory_gb"):
        value = getattr(config, name)
        if value is not None and report[name] != value:
            raise ConfigError(
                f"{units_dir}: holds units with {name}={report[name]:g}, requested: {value:g}; "
                "give another --out"
            )


def _short(digest: str | None) -> str:
    return "no model" if digest is None else f"model {digest[:12]}"


def unlabelled(corpus: TrainingCorpus) -> TrainingData:
    """Data for an objective that needs no units."""
    return TrainingData(corpus.train, corpus.valid, read_clip, corpus.digest)


def labelled(
    corpus: TrainingCorpus, labels: UnitLabels, lost: frozenset[str] = frozenset()
) -> TrainingData:
    """Data with known labels: the clips that have some.

    lost: ids of clips without labels, since they cannot be decoded.  Raises DataError for labels of
    another corpus, and for other clips without labels.
    """
    data = TrainingData(corpus.train, corpus.valid, read_clip, corpus.digest, labels)
    lacking: set[str] = set()
    for table in (data.train, data.valid):
        lengths = zip(table.ids, table.n_samples.tolist(), strict=True)
        lacking |= check_labels(
            labels, corpus_digest=corpus.digest, n_samples=lengths, may_lack=lost
        )
    if not lacking:
        return data
    say(f"{len(lacking)} clips have no units, since they cannot be decoded; they are left out")
    train, valid = (
        ClipTable(clip for clip in table if clip.id not in lacking)
        for table in (data.train, data.valid)
    )
    if not len(train) or not len(valid):
        raise DataError(
            f"corpus {corpus.name}: {len(train)} clips to train on and {len(valid)} to validate "
            f"can be decoded; see {QUARANTINE_NAME} beside the units"
        )
    return replace(data, train=train, valid=valid)


def units_in(folder: Path) -> UnitLabels:
    """Opens labels of `earbit units`; raises DataError for missing labels and dead units."""
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
    for name in (KMEANS, REPORT, QUARANTINE_NAME, LABELS):
        if (source / name).is_file():
            write_whole(into / name, partial(shutil.copyfile, source / name))


def label_digests(labels: UnitLabels) -> dict[str, str]:
    """Digests of the units of a run and of their corpus, for its description."""
    return {
        "labels": labels.digest,
        "kmeans": labels.header.kmeans_digest,
        "corpus": labels.corpus_digest,
    }


def _report_of(units_dir: Path) -> dict[str, Any]:
    """How the units in a folder were fitted."""
    try:
        report = json.loads((units_dir / REPORT).read_text(encoding="utf-8"))
        return {name: report[name] for name in ("seed", "fraction", "memory_gb")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{units_dir}/{REPORT}: cannot be read ({error}); give another --out"
        ) from error


def phone_alignments(where: str) -> Iterator[tuple[str, Alignment]]:
    """Phones with start_s and duration_s of every utterance that has some."""
    given = open_input(where)
    if not given.is_labelled:
        return  # without opening every file
    for utterance in given.usable([]):
        items = utterance.labels.get("phone_alignment")
        if items:
            yield (
                utterance.id,
                [(str(phone), float(start), float(length)) for phone, start, length in items],
            )
