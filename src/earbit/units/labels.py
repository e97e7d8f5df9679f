"""Unit labels with their provenance: rate, units, feature, k-means model, corpus.

Training rejects labels that do not belong to its audio, because a wrong rate or dictionary would
otherwise go unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import DataError, FormatError
from earbit.frames import FRAME_RATE_HZ
from earbit.units.label_rows import METADATA_KEY, LabelRows, write_rows

FORMAT = "earbit-labels-2"
GIVEN = "given"
"""Feature of labels that another program made; some of its units may have no frame here."""
MAX_DRIFT_S = 0.1
"""Maximum difference of labels and audio, due to incomplete windows at the end."""


@dataclass(frozen=True, slots=True)
class LabelHeader:
    """Provenance of the labels in a file."""

    feature: str
    """"mfcc", "hidden", "features" (of another program) or "given" (labels of another program).

    Frame t of the first two sees 25 ms of audio, from t / rate_hz on.
    """
    layer: int | None
    """Layer of hidden features, counted from 1."""
    rate_hz: float
    """Labels per second."""
    n_units: int
    kmeans_digest: str
    """Digest of the k-means model, or of the file of given labels."""
    corpus_digest: str
    """Digest of the corpus as it is opened, before any file is decoded."""
    model_digest: str | None = None
    """Digest of the model of hidden features, or of the files of given features."""


@dataclass(frozen=True, eq=False)
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

    @cached_property
    def digest(self) -> str:
        """SHA-256 over header and labels."""
        digest = hashlib.sha256(json.dumps(asdict(self.header), sort_keys=True).encode())
        for name, labels in self.in_order():
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
            digest.update(np.ascontiguousarray(labels, "<i4").tobytes())
        return digest.hexdigest()

    @cached_property
    def histogram(self) -> np.ndarray:
        """Number of frames of every unit: int64 (units,)."""
        rows = self.by_id
        blocks = rows.blocks() if isinstance(rows, LabelRows) else iter(rows.values())
        counts = np.zeros(self.n_units, np.int64)
        for block in blocks:
            counts += np.bincount(block, minlength=self.n_units)
        return counts

    def in_order(self) -> Iterator[tuple[str, np.ndarray]]:
        """Id and labels of every clip, in the order of the ids."""
        if isinstance(self.by_id, LabelRows):
            return self.by_id.in_order()
        return ((name, self.by_id[name]) for name in sorted(self.by_id))

    def lengths(self) -> Iterator[tuple[str, int]]:
        """Id and number of labels of every clip, in the order of the ids."""
        if isinstance(self.by_id, LabelRows):
            return self.by_id.lengths()
        return ((name, len(self.by_id[name])) for name in sorted(self.by_id))

    def for_frames(self, name: str, n_frames: int, start_sample: int = 0) -> np.ndarray:
        """Labels of `n_frames` frames of 20 ms, from a crop that starts at `start_sample`.

        Frame t takes label `floor(t * rate / 50)`, counted from `round(start * rate / 16000)`;
        the last label is repeated beyond the end.  Returns int64 (n_frames,).  Raises DataError for
        an unknown utterance, a negative start, and labels that end more than 0.1 s too early.
        """
        try:
            labels = self.by_id[name]
        except KeyError:
            message = f"no labels for {name!r}; make them anew with `earbit units`"
            raise DataError(message) from None
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
        """Writes a safetensors file of ids, offsets, labels and the header as JSON."""
        write_labels(path, self.header, self.in_order())

    @staticmethod
    def load(path: Path) -> UnitLabels:
        """Opens a file of `save`, whose labels are read when they are requested.

        Raises FormatError with the reason for any other file.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                header = dict(json.loads((file.metadata() or {})[METADATA_KEY]))
            found = header.pop("format")
            if found != FORMAT:
                raise FormatError(
                    f"{path}: format {found!r}, this version reads {FORMAT!r}; make the labels "
                    "anew with `earbit units`"
                )
            parsed = LabelHeader(**header)
            _check_types(parsed)
            labels = UnitLabels(parsed, LabelRows(path))
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{path}: not a label file of earbit ({error})") from error
        _check_range(path, labels)
        return labels


def write_labels(
    path: Path, header: LabelHeader, rows: Iterable[tuple[str, np.ndarray]]
) -> UnitLabels:
    """Writes labels one by one and opens the file.  rows: labels in the order of their ids."""
    write_rows(path, rows, {"format": FORMAT, **asdict(header)}, header.n_units)
    return UnitLabels(header, LabelRows(path))


def check_all_used(labels: UnitLabels) -> None:
    """Raises DataError for units without frames, as in silence; given labels may have some."""
    n_used = int(np.count_nonzero(labels.histogram))
    if n_used < (2 if labels.header.feature == GIVEN else labels.n_units):
        raise too_few_units(n_used, labels.n_units)


def too_few_units(n_found: int, n_units: int) -> DataError:
    """Advice for audio with fewer distinct sounds than requested units."""
    fewer = f", or give n_units={n_found} or less" if n_found > 1 else ""
    return DataError(
        f"{n_found} of {n_units} units found: the audio has too little variety, for example "
        f"silence; leave silent files out (`earbit prepare` names them){fewer}"
    )


def check_labels(
    labels: UnitLabels,
    *,
    corpus_digest: str,
    n_samples: Iterable[tuple[str, int]],
    may_lack: Collection[str] = (),
) -> set[str]:
    """Checks that labels belong to this audio, and returns the ids of clips without labels.

    n_samples: id and length of every clip, in the order of the ids.  may_lack: ids of clips without
    labels, since they cannot be decoded.  Raises DataError for another corpus, for other clips
    without labels, and for labels whose duration is not that of the audio.
    """
    if labels.corpus_digest != corpus_digest:
        raise DataError(
            f"labels belong to corpus {labels.corpus_digest[:12]}, this one is "
            f"{corpus_digest[:12]}; make them anew with `earbit units`, with --resplit where the "
            "run has it"
        )
    lacking: set[str] = set()
    missing: list[str] = []
    lengths = labels.lengths()
    known, n_labels = next(lengths, ("", 0))
    for name, n in n_samples:
        while known < name and n_labels:
            known, n_labels = next(lengths, ("", 0))
        if not n_labels or known != name:
            lacking.add(name)
            if name not in may_lack:
                missing.append(name)
            continue
        labels_s = n_labels / labels.header.rate_hz
        if abs(labels_s - n / SAMPLE_RATE_HZ) > MAX_DRIFT_S:
            raise DataError(
                f"{name!r}: labels for {labels_s:.2f} s at {labels.header.rate_hz:g} Hz, audio of "
                f"{n / SAMPLE_RATE_HZ:.2f} s; the label rate or the audio is another one"
            )
    if missing:
        raise DataError(
            f"{len(missing)} utterances have no labels, the first is {missing[0]!r}; make them "
            "anew with `earbit units`"
        )
    return lacking


def _check_types(header: LabelHeader) -> None:
    texts = (header.feature, header.kmeans_digest, header.corpus_digest, header.model_digest or "")
    are_texts = all(type(text) is str for text in texts)
    are_numbers = type(header.n_units) is int and type(header.rate_hz) in (int, float)
    if not are_texts or not are_numbers or type(header.layer) not in (int, type(None)):
        raise TypeError(f"a field of {header} has the wrong type")


def _check_range(path: Path, labels: UnitLabels) -> None:
    header = labels.header
    if header.n_units < 1 or not 0 < header.rate_hz < np.inf:
        raise FormatError(f"{path}: n_units={header.n_units}, rate_hz={header.rate_hz}: damaged")
    try:
        is_within = len(labels.histogram) == header.n_units
    except ValueError:  # a negative label, or one that is too large
        is_within = False
    if not is_within:
        raise FormatError(f"{path}: a label is outside 0 to {header.n_units - 1}: damaged")
