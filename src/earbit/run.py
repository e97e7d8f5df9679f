"""`earbit run`: features and labels of audio files by a packed program, without PyTorch."""

from __future__ import annotations

import os
import time
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np

from earbit.audio.given import files_given
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.with_warning import read_with_warning, say_warnings
from earbit.errors import ConfigError, DataError, Interrupted
from earbit.files import make_folder, name_of, not_interrupted, write_whole
from earbit.foreign import refuse_foreign
from earbit.progress import Advance, progress, say
from earbit.rttm import write_rttm
from earbit.runtime.expected_time import expected_time
from earbit.runtime.head_fields import head_columns, head_fields
from earbit.runtime.likeliest import check_threshold
from earbit.runtime.session import Session
from earbit.runtime.waveform import LevelWarning
from earbit.shipped import program_path
from earbit.text_table import aligned

Keep = Callable[[str, np.ndarray], None]
SAID_FROM_S = 60.0
"""Runs expected to take longer are announced."""


class RunInterrupted(Interrupted):
    """Interruption by the user after some files; their features are written."""

    def __init__(self, summary: list[dict[str, Any]], n_asked: int, out: Path | None) -> None:
        kept = "" if out is None else f", their features are in {out}"
        super().__init__(f"{_n_used(summary)} of {n_asked} files are done{kept}")
        self.summary = summary
        """Records of finished and skipped files."""


class NoneUsable(DataError):
    """Raised if no file is usable; nothing is written."""

    def __init__(self, summary: list[dict[str, Any]], out: Path | None) -> None:
        stays = "" if out is None or not out.exists() else f"; {out} stays as it was"
        super().__init__(
            f"no usable audio file among {len(summary)}; "
            f"{summary[0]['audio']}: {summary[0]['error']}{stays}"
        )
        self.summary = summary
        """The reason for each skipped file."""


def run_files(
    program: Path,
    paths: Sequence[Path],
    out: Path | None,
    *,
    layers: Literal["last", "all"] = "last",
    threads: int = 1,
    threshold: float | None = None,
) -> list[dict[str, Any]]:
    """Runs every file, writes features to `out` (.npz, one array per file), returns a summary.

    paths: audio files, pipes, `-` for standard input, or folders, whose audio files are all used,
    including those in linked folders.  Unusable files and folders without audio are skipped; the
    reason is printed and stored in the summary.  Files given twice run once, with a notice.  A
    silent file has a `warning` in the summary, which is also printed.
    With a head, the summary has the fields of `head_fields`, to which `threshold` goes, and `out`
    has an array NAME.scores per file and `labels`, the names of its columns.  If `out` ends in
    .rttm, it gets the segments instead.  Features are written file by file and not kept in memory.
    Raises NoneUsable, a DataError, if no file is usable, and RunInterrupted after an interruption
    when some files are finished; an existing `out` is then kept, and finished files are written to
    NAME.partial.npz, or NAME.partial.rttm, beside it.
    """
    if not paths:
        raise ConfigError("no audio file given; earbit run PROGRAM AUDIO...")
    if out is not None and out.suffix not in (".npz", ".rttm"):
        raise ConfigError(
            f"{out}: features are written as .npz and segments as .rttm; give a name that ends so"
        )
    paths = files_given(paths)
    refuse_foreign(program_path(program), "a program that `earbit export` wrote")
    session = Session(program, threads)
    check_threshold(session.head, threshold)
    is_rttm = out is not None and out.suffix == ".rttm"
    if is_rttm and session.kind != "segments":
        raise ConfigError(
            f"{out}: the program has no head of kind 'segments'; give a name that ends in .npz"
        )
    if out is not None:
        make_folder(out.parent)
    if out is None or is_rttm:
        summary = _run_each(session, paths, layers, lambda name, array: None, out, threshold)
    else:
        _refuse_equal_names(paths, has_scores=session.labels is not None)
        summary, out = _run_into(out, session, paths, layers, threshold)
    if out is not None and is_rttm:
        if len(summary) < len(paths) and out.exists():
            out = _free_name_beside(out)
        write_rttm(out, summary)
    if len(summary) < len(paths):
        raise RunInterrupted(summary, len(paths), out)
    return summary


def _run_into(
    out: Path,
    session: Session,
    paths: Sequence[Path],
    layers: Literal["last", "all"],
    threshold: float | None,
) -> tuple[list[dict[str, Any]], Path]:
    """Runs the files, writes their arrays, and returns the summary and the written file.

    After an interruption that file is not `out`, if a partial result would replace an older file.
    """
    summary: list[dict[str, Any]] = []

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            keep = partial(_add_array, archive)
            summary.extend(_run_each(session, paths, layers, keep, out, threshold))

    # Written beside an existing file first, so that only a complete file replaces it.
    place = _free_name_beside(out) if out.exists() else out
    write_whole(place, write)
    if place != out and len(summary) == len(paths):
        write_whole(out, partial(os.replace, place))
        place = out
    return summary, place


def _free_name_beside(out: Path) -> Path:
    """NAME.partial.npz, or NAME.partial-2.npz and so on, to keep older partial files; .rttm too."""
    names = (f"{out.stem}.partial{f'-{n}' if n > 1 else ''}{out.suffix}" for n in count(1))
    return next(path for path in map(out.with_name, names) if not path.exists())


def _run_each(
    session: Session,
    paths: Sequence[Path],
    layers: Literal["last", "all"],
    keep: Keep,
    out: Path | None,
    threshold: float | None,
) -> list[dict[str, Any]]:
    """Runs the files one by one and passes their arrays to `keep`.

    After an interruption the summary has fewer files; KeyboardInterrupt is raised if none is
    finished.  out: destination of the arrays, for messages.
    """
    summary: list[dict[str, Any]] = []
    try:
        with progress("features", len(paths)) as advance:
            for path in paths:
                entry, arrays = _run_one(session, path, layers, threshold, advance)
                with not_interrupted():
                    for name, array in arrays.items():
                        keep(name, array)
                    summary.append(entry)
                del arrays
                advance()
    except KeyboardInterrupt:
        if not _n_used(summary):
            raise
    bad = [f"{entry['audio']}: {entry['error']}" for entry in summary if "error" in entry]
    # For a single file, the error has the reason.
    for line in bad if len(paths) > 1 else ():
        say(f"left out {line}")
    say_warnings(summary)
    if not _n_used(summary):
        raise NoneUsable(summary, out)
    _keep_labels(session, keep)
    return summary


def _run_one(
    session: Session,
    path: Path,
    layers: Literal["last", "all"],
    threshold: float | None,
    advance: Advance,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Record of a file (length, shape and time, or the error) and its arrays."""
    name = name_of(path)
    try:
        waveform, warning = read_with_warning(path)
        scores = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LevelWarning)  # it is said with the name
            _announce_if_long(session, name, waveform, advance)
            start_s = time.perf_counter()
            if session.labels is None:
                features = session.run(waveform, layers=layers)
            else:
                features, scores = session.run_with_scores(waveform, layers=layers)
    except DataError as error:
        return {"audio": name, "error": str(error).removeprefix(f"{path}: ")}, {}
    elapsed_s = time.perf_counter() - start_s
    arrays = {name: features}
    duration_s = waveform.size / SAMPLE_RATE_HZ
    entry = {
        "audio": name,
        "seconds": round(duration_s, 3),
        **({"layers": len(features) - 1} if layers == "all" else {}),
        "frames": features.shape[-2],
        "width": features.shape[-1],
        "ms": round(1e3 * elapsed_s, 2),
        "rtf": round(elapsed_s / duration_s, 5),
    }
    if session.labels is not None and scores is not None:
        arrays[f"{name}.scores"] = scores
        assert session.head is not None
        entry |= head_fields(session.head, scores, threshold)
    if warning is not None:
        entry["warning"] = warning
    return entry, arrays


def _announce_if_long(session: Session, name: str, waveform: np.ndarray, advance: Advance) -> None:
    expected = expected_time(session, waveform, SAID_FROM_S)
    if expected is None or expected.total_s < SAID_FROM_S:
        return
    audio_min, run_min = waveform.size / SAMPLE_RATE_HZ / 60, expected.total_s / 60
    line = f"{name}: {audio_min:.0f} min of audio, about {run_min:.0f} min to run"
    if expected.square_s > expected.linear_s:
        line += (
            "; most of it is attention over all frames, whose time grows with the square of the "
            "length, so shorter files take less"
        )
    say(line)
    advance(0, f"{name}: about {expected.total_s:.0f} s")  # beside the time that has passed


def _n_used(summary: Sequence[Mapping[str, Any]]) -> int:
    return sum("error" not in entry for entry in summary)


def _keep_labels(session: Session, keep: Keep) -> None:
    if session.labels is not None:
        keep("labels", np.array(session.labels))


def render_run(summary: Sequence[Mapping[str, Any]]) -> str:
    """Text with a line per used file: label or text if any, length, shape and time.

    Empty without used files.
    """
    used = [entry for entry in summary if "error" not in entry]
    if not used:
        return ""
    titles, *of_files = zip(
        ["audio", *(entry["audio"] for entry in used)], *head_columns(used), strict=True
    )
    rows = [(*titles, "seconds", "frames", "width", "ms", "time/audio")]
    for entry, of_file in zip(used, of_files, strict=True):
        figures = (f"{entry['seconds']:.3f}", str(entry["frames"]), str(entry["width"]))
        times = (f"{entry['ms']:.2f}", f"{entry['rtf']:.5f}")
        rows.append((*of_file, *figures, *times))
    return "\n".join(aligned(rows))


def _refuse_equal_names(paths: Sequence[Path], *, has_scores: bool) -> None:
    """Raises ConfigError if two arrays would have the same name: NumPy reads only one of them."""
    names = [name_of(path) for path in paths]
    scores = {"labels", *(f"{name}.scores" for name in names)} if has_scores else set()
    seen: set[str] = set()
    for name in names:
        if name in scores:
            raise ConfigError(
                f"{name}: an audio file with the name of an array of scores; rename it"
            )
        # NumPy finds the array `a` also by the name `a.npy`.
        if name in seen or f"{name}.npy" in seen or name.removesuffix(".npy") in seen:
            raise ConfigError(f"{name}: two audio files whose arrays have this name; rename one")
        seen.add(name)


def _add_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Adds an array without `np.savez`, whose own parameters cannot be array names."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)
