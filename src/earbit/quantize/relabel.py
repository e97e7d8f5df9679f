"""Units of a known k-means model for another corpus than the one it was fitted on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import get_args

from earbit.audio.clips import ClipTable, read_clip
from earbit.audio.training_corpus import TrainingCorpus
from earbit.errors import ConfigError, DataError
from earbit.files import make_folder
from earbit.load import load_model
from earbit.model_digest import features_digest, weights_digest
from earbit.model_names import MODEL_FILE_NAME
from earbit.nn.devices import TrainPrecision
from earbit.pretrain.hidden import hidden_source
from earbit.units.assign import label_clips
from earbit.units.discover import KMEANS, LABELS
from earbit.units.kmeans import KMeans
from earbit.units.labels import LabelHeader, UnitLabels
from earbit.units.quarantine import write_lost
from earbit.units.sources import FeatureSource, mfcc_source


def units_for(corpus: TrainingCorpus, units: Path, into: Path, *, device: str) -> Path:
    """The folder of labels of a corpus by the k-means model in `units`.

    It is `units` if its labels are those of the corpus; else labels are written to `into`, unless
    they are there.  Hidden features are computed on `device` by the model that they come from,
    which is in OUT/1 beside OUT/2/units.  Raises DataError for units that cannot be given to
    another corpus.
    """
    known = UnitLabels.load(units / LABELS)
    if known.corpus_digest == corpus.digest:
        return units
    header = replace(known.header, corpus_digest=corpus.digest)
    if (into / LABELS).is_file():
        if (found := UnitLabels.load(into / LABELS)).header != header:
            raise ConfigError(
                f"{into}: holds labels of corpus {found.corpus_digest[:12]} and k-means model "
                f"{found.header.kmeans_digest[:12]}; give another --out"
            )
        return into
    source = _source_of(header, units, device)
    kmeans = KMeans.load(units / KMEANS)
    clips = ClipTable(chain(corpus.train, corpus.valid))
    parts = make_folder(into / ".parts")
    labels, lost = label_clips(clips, read_clip, source, kmeans, parts / LABELS, header, parts)
    write_lost(into, clips, lost)
    kmeans.save(into / KMEANS)
    labels.save(into / LABELS)
    shutil.rmtree(parts, ignore_errors=True)  # kept by an interrupted call, for the next
    return into


def _source_of(header: LabelHeader, units: Path, device: str) -> FeatureSource:
    if header.feature == "mfcc":
        return mfcc_source()
    if header.feature != "hidden" or header.layer is None:
        raise DataError(
            f"{units}: units of {header.feature} belong to their corpus; give that corpus, or "
            "a model with units of MFCC or hidden features"
        )
    path = units.absolute().parent.parent / "1" / MODEL_FILE_NAME
    if not path.is_file():
        raise DataError(
            f"{path}: not there; units of hidden features of another corpus need the model of the "
            "first iteration, keep both iterations in one folder"
        )
    model = load_model(path)
    weights = weights_digest(model)
    for precision in get_args(TrainPrecision):
        if features_digest(weights, precision) == header.model_digest:
            return hidden_source(model, header.layer, device=device, precision=precision)
    raise DataError(f"{path}: another model than that of the units in {units}")
