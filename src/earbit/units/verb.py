"""`earbit units`: writes the units of a corpus to a folder that holds no other units."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from earbit.audio.corpus import write_quarantine
from earbit.audio.quarantine import QUARANTINE_NAME
from earbit.audio.training_corpus import Opened, TrainingCorpus
from earbit.distributed import first, only_run_in
from earbit.errors import ConfigError
from earbit.files import refuse_other_files
from earbit.progress import say
from earbit.units.discover import KMEANS, LABELS, REPORT, UnitConfig, with_fraction
from earbit.units.given import file_digest, take_labels
from earbit.units.labelled import (
    check_parameters,
    described,
    discover,
    open_training_corpus,
    phone_alignments,
)
from earbit.units.labels import GIVEN, UnitLabels
from earbit.units.sources import FeatureSource, mfcc_source

FILES = {LABELS, KMEANS, REPORT, QUARANTINE_NAME}
"""Files that this command writes."""


def units(
    where: str,
    out_dir: Path,
    config: UnitConfig,
    source: FeatureSource | None = None,
    *,
    opened: Opened | None = None,
) -> dict[str, Any]:
    """Writes units of a corpus and returns units.json; existing equal units are kept.

    source: features, by default MFCC.  opened: the corpus, by default without `resplit`.  Raises
    ConfigError, and changes no file, if `out_dir` holds other files, or units of another corpus,
    number, seed, feature or fraction.
    """
    source = source or mfcc_source()

    def check(labels: UnitLabels, corpus: TrainingCorpus | None) -> None:
        asked = config if corpus is None else with_fraction(config, source, corpus.train)
        check_parameters(out_dir, labels, asked, source)

    def make(corpus: TrainingCorpus) -> dict[str, Any]:
        return discover(where, corpus, out_dir, config, source)

    return _units_by(make, check, opened or partial(open_training_corpus, where), out_dir)


def units_of_labels(
    where: str,
    out_dir: Path,
    file: Path,
    *,
    n_units: int | None,
    rate_hz: float,
    resplit: bool = False,
) -> dict[str, Any]:
    """Writes units of a corpus from labels of another program and returns units.json.

    Raises the errors of `take_labels`, and those of `units` about `out_dir`.
    """

    def check(labels: UnitLabels, corpus: TrainingCorpus | None) -> None:
        if labels.header.feature != GIVEN:
            raise ConfigError(
                f"{out_dir}: holds units of the feature {labels.header.feature}, requested: "
                f"{GIVEN}; give another --out"
            )
        if labels.header.kmeans_digest != file_digest(file):
            raise ConfigError(f"{out_dir}: holds labels of another file; give another --out")
        asked = (labels.n_units if n_units is None else n_units, rate_hz)
        if (labels.n_units, labels.header.rate_hz) != asked:
            raise ConfigError(
                f"{out_dir}: holds {labels.n_units} units at {labels.header.rate_hz:g} Hz, "
                f"requested: {asked[0]} at {rate_hz:g} Hz; give another --out"
            )

    def make(corpus: TrainingCorpus) -> dict[str, Any]:
        def take() -> dict[str, Any]:
            return take_labels(
                file,
                corpus,
                out_dir,
                n_units=n_units,
                rate_hz=rate_hz,
                alignments=phone_alignments(where),
            )

        report = first(take)
        say(described(report))
        return report

    opened = partial(open_training_corpus, where, resplit=resplit)
    return _units_by(make, check, opened, out_dir)


def _units_by(
    make: Callable[[TrainingCorpus], dict[str, Any]],
    check: Callable[[UnitLabels, TrainingCorpus | None], None],
    opened: Opened,
    out_dir: Path,
) -> dict[str, Any]:
    refuse_other_files(out_dir, FILES)
    # Rank 0 decides: a shared disk may show the others an older state.
    labels = UnitLabels.load(out_dir / LABELS) if first((out_dir / LABELS).exists) else None
    if labels is not None:
        check(labels, None)  # before the corpus is opened
    with only_run_in(out_dir):
        corpus = opened()
        if labels is None:
            first(lambda: write_quarantine(corpus, out_dir))
            return make(corpus)
        if labels.corpus_digest != corpus.digest:
            raise ConfigError(
                f"{out_dir}: holds units of another corpus ({labels.corpus_digest[:12]}), this one "
                f"is {corpus.digest[:12]}, or --resplit differs; give another --out"
            )
        check(labels, corpus)
    say(f"{out_dir}: holds these units already; they are kept")
    report: dict[str, Any] = json.loads((out_dir / REPORT).read_text(encoding="utf-8"))
    return report


def render_units(report: Mapping[str, Any], out_dir: Path) -> str:
    """Short text of units.json, for a terminal."""
    return f"{described(report)}\nthe units are in {out_dir}"
