"""A corpus made ready for training: decoded, split, with units discovered or read back."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import CutSet

from earbit.audio.corpus import Corpus, decode_all, open_corpus, write_quarantine
from earbit.errors import ConfigError, DataError, FormatError
from earbit.files import make_folder, write_whole
from earbit.frames import n_frames_of
from earbit.pretrain.loop import TrainingData
from earbit.progress import progress
from earbit.units.discover import discover_units, write_units
from earbit.units.labels import UnitLabels, check_labels

LABELS = "labels.safetensors"
MIN_TRAINING_FRAMES = 10
"""Shorter clips hold no span to predict."""


def decoded_corpus(where: str, out_dir: Path) -> tuple[Corpus, Mapping[str, np.ndarray]]:
    """Opens a corpus and decodes all of it; what cannot be used is listed in quarantine.jsonl."""
    corpus = open_corpus(where)
    make_folder(out_dir)
    with progress(f"decoding {corpus.name}", len(corpus.cuts)) as advance:
        waveforms, corpus = decode_all(corpus, progress=advance)
    write_quarantine(corpus, out_dir)
    return corpus, waveforms


def training_data(
    corpus: Corpus, waveforms: Mapping[str, np.ndarray], units_dir: Path, *, n_units: int, seed: int
) -> TrainingData:
    """Splits a corpus and finds its units, or reads them from `units_dir` if they are there.

    Units come from one k-means model, fitted on the training part.  Raises DataError when labels of
    another corpus lie there, ConfigError when they were made with another number or seed.
    """
    labels_path = units_dir / LABELS
    if not labels_path.exists():
        discover(corpus, waveforms, units_dir, n_units=n_units, seed=seed)
    labels = UnitLabels.load(labels_path)
    there = (labels.n_units, _seed_of(units_dir))
    if there != (n_units, seed):
        raise ConfigError(
            f"{units_dir}: holds {there[0]} units of seed {there[1]}, asked for are {n_units} of "
            f"seed {seed}; give another --out, or delete this folder"
        )
    return labelled(corpus, waveforms, labels)


def labelled(
    corpus: Corpus, waveforms: Mapping[str, np.ndarray], labels: UnitLabels
) -> TrainingData:
    """Splits a corpus whose labels are known; DataError when they are those of another one."""
    train, valid = split(corpus, waveforms)
    n_samples = {cut.id: waveforms[cut.id].size for cut in (*train, *valid)}
    check_labels(labels, corpus_digest=corpus.digest, n_samples=n_samples)
    return TrainingData(train, valid, waveforms, labels)


def units_in(folder: Path) -> UnitLabels:
    """The labels of a folder of `earbit units`; DataError for a folder without."""
    if not (folder / LABELS).is_file():
        raise DataError(f"{folder}: no {LABELS} in it; give a folder of `earbit units`")
    return UnitLabels.load(folder / LABELS)


def copy_units(source: Path, into: Path) -> None:
    """Copies the units of `earbit units` beside the model: what quantizes it later needs them.

    Raises ConfigError where other units lie.
    """
    if (into / LABELS).exists():
        here, there = (UnitLabels.load(folder / LABELS).digest for folder in (into, source))
        if here != there:
            raise ConfigError(f"{into}: holds other units than {source}; give another --out")
        return
    make_folder(into)
    # The labels last: whoever finds them finds the rest too.
    for name in ("kmeans.safetensors", "units.json", LABELS):
        write_whole(into / name, partial(shutil.copyfile, source / name))


def data_digests(labels: UnitLabels) -> dict[str, str]:
    """What a run was trained on, for its description."""
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
            f"{units_dir}/units.json: cannot be read ({error}); delete this folder"
        ) from error


def discover(
    corpus: Corpus, waveforms: Mapping[str, np.ndarray], out_dir: Path, *, n_units: int, seed: int
) -> dict[str, Any]:
    """MFCC units of a whole corpus, k-means fitted on its training part; written to `out_dir`."""
    make_folder(out_dir)
    train, _ = split(corpus, waveforms)
    with progress(f"units of {corpus.name}", len(waveforms)) as advance:
        kmeans, labels, quality = discover_units(
            waveforms,
            corpus_digest=corpus.digest,
            n_units=n_units,
            seed=seed,
            fit_ids=[cut.id for cut in train],
            phone_alignments=phone_alignments(corpus),
            progress=advance,
        )
    return write_units(out_dir, kmeans, labels, quality, seed=seed)


def split(corpus: Corpus, waveforms: Mapping[str, np.ndarray]) -> tuple[CutSet, CutSet]:
    """Training and validation cuts: by the corpus' own labels, else a tenth by a hash of the id.

    Test cuts are left out, and so are clips too short to hold a span.
    """
    usable = [
        cut for cut in corpus.cuts if n_frames_of(waveforms[cut.id].size) >= MIN_TRAINING_FRAMES
    ]
    parts = {cut.id: (cut.custom or {}).get("split") or _drawn_part(cut.id) for cut in usable}
    if "valid" not in parts.values():
        parts = {i: _drawn_part(i) if part == "train" else part for i, part in parts.items()}
    train = CutSet.from_cuts(cut for cut in usable if parts[cut.id] == "train")
    valid = CutSet.from_cuts(cut for cut in usable if parts[cut.id] == "valid")
    if not len(train) or not len(valid):
        raise DataError(
            f"corpus {corpus.name}: {len(train)} clips to train on and {len(valid)} to validate; "
            "at least one of each is needed, of 0.22 s or more"
        )
    return train, valid


def _drawn_part(cut_id: str) -> str:
    return "valid" if hashlib.sha256(cut_id.encode()).digest()[0] % 10 == 0 else "train"


def phone_alignments(corpus: Corpus) -> dict[str, list[tuple[str, float, float]]] | None:
    """Phones with their times (start_s, duration_s) by cut, or None when no cut has them."""
    known = {}
    for cut in corpus.cuts:
        for supervision in cut.supervisions:
            items = (supervision.alignment or {}).get("phone")
            if items:
                known[cut.id] = [(item.symbol, item.start, item.duration) for item in items]
    return known or None
