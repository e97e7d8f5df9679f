"""Unit labels with their provenance: rate, units, feature, k-means model, corpus.

Training rejects labels that do not belong to its audio, because a wrong rate or dictionary would
otherwise go unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import DataError, FormatError
from earbit.files import write_whole
from earbit.frames import FRAME_RATE_HZ

FORMAT = "earbit-labels-1"
METADATA_KEY = "earbit"
MAX_DRIFT_S = 0.1
"""Maximum difference of labels and audio, due to incomplete windows at the end."""


@dataclass(frozen=True, slots=True)
class LabelHeader:
    """Provenance of the labels in a file."""

    feature: str
    """"mfcc" or "hidden"; frame t of either sees 25 ms of audio, from t / rate_hz on."""
    layer: int | None
    """Layer of hidden features, counted from 1."""
    rate_hz: float
    """Labels per second."""
    n_units: int
    kmeans_digest: str
    corpus_digest: str


@dataclass(frozen=True, slots=True, eq=False)
class UnitLabels:
    """Labels of many utterances."""

    header: LabelHeader
    by_id: Mapping[str, np.ndarray]
    """int32 (labels,) of every utterance."""

    @property
    def n_units(self) -> int:
        """Number of units."""
        return self.header.n_units

    @property
    def corpus_digest(self) -> str:
        """Digest of the corpus of the labels."""
        return self.header.corpus_digest

    @property
    def digest(self) -> str:
        """SHA-256 over header and labels."""
        digest = hashlib.sha256(json.dumps(asdict(self.header), sort_keys=True).encode())
        for name in sorted(self.by_id):
            digest.update(name.encode() + b"\0")
            digest.update(np.ascontiguousarray(self.by_id[name], "<i4").tobytes())
        return digest.hexdigest()

    def for_frames(self, name: str, n_frames: int, start_sample: int = 0) -> np.ndarray:
        """Labels of `n_frames` frames of 20 ms, from a crop that starts at `start_sample`.

        Frame t takes label `floor(t * rate / 50)`, counted from `round(start * rate / 16000)`;
        the last label is repeated beyond the end.  Returns int64 (n_frames,).  Raises DataError for
        an unknown utterance, a negative start, and labels that end more than 0.1 s too early.
        """
        if name not in self.by_id:
            raise DataError(f"no labels for {name!r}; make them anew with `earbit units`")
        labels = self.by_id[name]
        if start_sample < 0:
            raise DataError(f"start_sample={start_sample}; allowed: 0 or more")
        first = round(start_sample * self.header.rate_hz / SAMPLE_RATE_HZ)
        ratio = self.header.rate_hz / FRAME_RATE_HZ
        index = first + np.floor(np.arange(n_frames) * ratio).astype(np.int64)
        if n_frames and index[-1] - len(labels) + 1 > MAX_DRIFT_S * self.header.rate_hz:
            raise DataError(
                f"{name!r}: {len(labels)} labels at {self.header.rate_hz:g} Hz, {n_frames} frames "
                f"from sample {start_sample} on need {index[-1] + 1}; make them anew with "
                "`earbit units`"
            )
        taken: np.ndarray = labels[np.minimum(index, len(labels) - 1)].astype(np.int64)
        return taken

    def save(self, path: Path) -> None:
        """Writes a safetensors file of concatenated labels, offsets, ids and header as JSON."""
        ids = list(self.by_id)
        arrays = [np.asarray(self.by_id[name], np.int32) for name in ids]
        if not arrays or min(len(a) for a in arrays) < 1:
            raise DataError("labels of no utterance, or of one without a frame; leave it out")
        offsets = np.cumsum([0, *(len(a) for a in arrays)]).astype(np.int64)
        tensors: dict[str, np.ndarray] = {"labels": np.concatenate(arrays), "offsets": offsets}
        header = {"format": FORMAT, "ids": ids, **asdict(self.header)}
        metadata = {METADATA_KEY: json.dumps(header)}
        write_whole(path, lambda temporary: save_file(tensors, temporary, metadata))

    @staticmethod
    def load(path: Path) -> UnitLabels:
        """Reads a file of `save`. Raises FormatError with the reason for any other file."""
        try:
            with safe_open(path, framework="numpy") as file:
                header = dict(json.loads((file.metadata() or {})[METADATA_KEY]))
                labels, offsets = file.get_tensor("labels"), file.get_tensor("offsets")
            found, ids = header.pop("format"), header.pop("ids")
            if found != FORMAT:
                raise FormatError(f"{path}: format {found!r}, this version reads {FORMAT!r}")
            parsed = LabelHeader(**header)
            _check_types(parsed, ids)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{path}: not a label file of earbit ({error})") from error
        _check_arrays(path, parsed, ids, labels, offsets)
        rows = {name: labels[offsets[i] : offsets[i + 1]] for i, name in enumerate(ids)}
        return UnitLabels(parsed, rows)


def check_all_used(labels: UnitLabels) -> None:
    """Raises DataError for units without frames, as in silence."""
    used = set().union(*(np.unique(row).tolist() for row in labels.by_id.values()))
    if len(used) < labels.n_units:
        raise too_few_units(len(used), labels.n_units)


def too_few_units(n_found: int, n_units: int) -> DataError:
    """Advice for audio with fewer distinct sounds than requested units."""
    fewer = f", or give n_units={n_found} or less" if n_found > 1 else ""
    return DataError(
        f"{n_found} of {n_units} units found: the audio has too little variety, for example "
        f"silence; leave silent files out (`earbit prepare` names them){fewer}"
    )


def check_labels(labels: UnitLabels, *, corpus_digest: str, n_samples: Mapping[str, int]) -> None:
    """Raises DataError for labels that do not belong to this audio.

    n_samples: length of every used utterance.  Raises DataError for another corpus,
    for utterances without labels, and for labels whose duration is not that of the audio.
    """
    if labels.corpus_digest != corpus_digest:
        raise DataError(
            f"labels belong to corpus {labels.corpus_digest[:12]}, this one is "
            f"{corpus_digest[:12]}; make them anew with `earbit units`, with --resplit where the "
            "run has it"
        )
    missing = [name for name in n_samples if name not in labels.by_id]
    if missing:
        raise DataError(
            f"{len(missing)} utterances have no labels, the first is {missing[0]!r}; make them "
            "anew with `earbit units`"
        )
    for name, n in n_samples.items():
        labels_s = len(labels.by_id[name]) / labels.header.rate_hz
        if abs(labels_s - n / SAMPLE_RATE_HZ) > MAX_DRIFT_S:
            raise DataError(
                f"{name!r}: labels for {labels_s:.2f} s at {labels.header.rate_hz:g} Hz, audio of "
                f"{n / SAMPLE_RATE_HZ:.2f} s; the label rate or the audio is another one"
            )


def _check_types(header: LabelHeader, ids: Any) -> None:
    texts = (header.feature, header.kmeans_digest, header.corpus_digest)
    are_texts = all(type(text) is str for text in texts)
    are_numbers = type(header.n_units) is int and type(header.rate_hz) in (int, float)
    if not are_texts or not are_numbers or type(header.layer) not in (int, type(None)):
        raise TypeError(f"a field of {header} has the wrong type")
    if type(ids) is not list or not all(type(name) is str for name in ids):
        raise TypeError("ids is not a list of strings")


def _check_arrays(
    path: Path, header: LabelHeader, ids: list[str], labels: np.ndarray, offsets: np.ndarray
) -> None:
    types_fit = labels.dtype == np.int32 and offsets.dtype == np.int64
    if not types_fit or labels.ndim != 1 or offsets.shape != (len(ids) + 1,):
        raise FormatError(f"{path}: labels {labels.dtype}{labels.shape}, {len(ids)} ids: damaged")
    if offsets[0] != 0 or offsets[-1] != len(labels) or np.any(np.diff(offsets) < 1):
        raise FormatError(f"{path}: offsets do not cut the labels into utterances: damaged")
    if not ids or len(set(ids)) < len(ids):
        raise FormatError(f"{path}: no ids, or repeated ones: damaged")
    if header.n_units < 1 or not 0 < header.rate_hz < np.inf:
        raise FormatError(f"{path}: n_units={header.n_units}, rate_hz={header.rate_hz}: damaged")
    if labels.min() < 0 or labels.max() >= header.n_units:
        raise FormatError(f"{path}: a label is outside 0 to {header.n_units - 1}: damaged")
