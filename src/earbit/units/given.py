"""Labels of another program: an .npz file with an array of units for each clip."""

from __future__ import annotations

import hashlib
import shutil
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from earbit.audio.clips import ClipTable
from earbit.audio.training_corpus import TrainingCorpus
from earbit.errors import ConfigError, DataError, FormatError, require_range
from earbit.files import make_folder
from earbit.units.discover import LABELS, Alignment, quality_with, write_units
from earbit.units.labels import GIVEN, LabelHeader, check_all_used, check_labels, write_labels

MAX_UNITS = 1 << 20


def take_labels(
    file: Path,
    corpus: TrainingCorpus,
    out_dir: Path,
    *,
    n_units: int | None,
    rate_hz: float,
    alignments: Iterable[tuple[str, Alignment]] = (),
) -> dict[str, Any]:
    """Writes labels.safetensors and units.json from labels of another program.

    file: .npz with int arrays (frames,), named ID or CORPUS/ID, at `rate_hz`.  n_units: number of
    units, all of which must occur; None: the largest label and one, and some may have no frame.
    Raises DataError if a clip has no labels, or labels of another duration than its audio.
    """
    if not 0 < rate_hz < np.inf:
        raise ConfigError(f"rate_hz={rate_hz}; allowed: above 0, the labels per second")
    if n_units is not None:
        require_range(2, MAX_UNITS, n_units=n_units)
    clips = ClipTable(chain(corpus.train, corpus.valid))
    parts = make_folder(out_dir / ".parts")
    try:
        with _opened(file) as arrays:
            key_of = _keys(file, arrays, corpus)
            largest = max(int(row.max()) for _, row in _rows(file, arrays, clips, key_of))
            if n_units is not None and largest >= n_units:
                raise DataError(
                    f"{file}: label {largest} and --n-units {n_units}; labels are 0 to n_units - 1"
                )
            n = largest + 1 if n_units is None else n_units
            header = LabelHeader(GIVEN, None, rate_hz, n, file_digest(file), corpus.digest)
            rows = _rows(file, arrays, clips, key_of)
            labels = write_labels(parts / LABELS, header, rows)
        lengths = ((clip.id, clip.n_samples) for clip in clips)
        check_labels(labels, corpus_digest=corpus.digest, n_samples=lengths)
        check_all_used(labels)
        n_found = int(np.count_nonzero(labels.histogram))
        if n_units is not None and n_found < n_units:
            raise DataError(
                f"{file}: {n_found} of {n_units} units occur in this corpus; leave --n-units out "
                "to allow units without frames"
            )
        about = {"labels_of": str(file)}
        return write_units(out_dir, labels, quality_with(labels, alignments), about)
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def _opened(file: Path) -> Any:
    try:
        arrays = np.load(file, allow_pickle=False)
    except OSError as error:
        raise FormatError(
            f"{file}: cannot be read ({error.strerror}); give an .npz file"
        ) from error
    except (ValueError, EOFError, BadZipFile) as error:
        raise FormatError(
            f"{file}: not a readable .npz file; write it with numpy.savez, an array for each clip"
        ) from error
    if not hasattr(arrays, "files"):
        raise FormatError(f"{file}: one array; give an .npz file with an array for each clip")
    return arrays


def _keys(file: Path, arrays: Any, corpus: TrainingCorpus) -> str:
    """Prefix of the ids in the file. Raises DataError for clips without labels."""
    names = set(arrays.files)
    prefixes = ("", f"{corpus.name}/")
    missing = {
        prefix: [n for n in chain(corpus.train.ids, corpus.valid.ids) if prefix + n not in names]
        for prefix in prefixes
    }
    best = min(prefixes, key=lambda prefix: len(missing[prefix]))
    if missing[best]:
        raise DataError(
            f"{file}: no labels for {len(missing[best])} clips, the first is {missing[best][0]!r}; "
            f"arrays are named ID or {corpus.name}/ID"
        )
    return best


def _rows(
    file: Path, arrays: Any, clips: ClipTable, prefix: str
) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in clips.ids:
        try:
            row = np.asarray(arrays[prefix + name])
        except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise FormatError(f"{file}: labels of {name!r} are damaged ({error})") from error
        if row.ndim != 1 or not np.issubdtype(row.dtype, np.integer) or not len(row):
            raise DataError(
                f"{file}: labels of {name!r} are {row.dtype}{row.shape}; expected whole numbers, "
                "one per frame"
            )
        if row.min() < 0 or row.max() >= MAX_UNITS:
            raise DataError(
                f"{file}: labels of {name!r} are {row.min()} to {row.max()}; allowed: 0 to "
                f"{MAX_UNITS - 1}"
            )
        yield name, row


def file_digest(file: Path) -> str:
    """SHA-256 of a file of labels, which identifies their units."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); give an .npz file") from error
