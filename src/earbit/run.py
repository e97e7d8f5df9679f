"""`earbit run`: features and labels of audio files by a packed program, without PyTorch."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from earbit.audio.decode import read_audio
from earbit.audio.manifest import AUDIO_SUFFIXES
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.errors import ConfigError, DataError
from earbit.files import make_folder, write_whole
from earbit.progress import say
from earbit.runtime.session import Session
from earbit.text_table import aligned

SUFFIXES_READ = "wav, flac, ogg, opus, mp3"


def run_files(
    program: Path,
    paths: Sequence[Path],
    out: Path | None,
    *,
    layers: Literal["last", "all"] = "last",
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Runs every file; features go to `out` (.npz, one array per file), a summary is returned.

    paths: audio files, or folders, of which all audio files are taken.  A file that cannot be used,
    or a folder without any, is left out, with its reason in the summary and on standard error;
    DataError when none is left.  A file that is given twice runs once, with a line that says so.
    A program with a head also says the label of each file with its probability; then `out` has an
    array NAME.scores per file, and `labels`, the names of its columns.
    """
    if not paths:
        raise ConfigError("no audio file given; earbit run PROGRAM AUDIO...")
    if out is not None and out.suffix != ".npz":
        raise ConfigError(f"{out}: features are written as .npz; give a name that ends so")
    paths = _once_each([file for path in paths for file in _audio_files(path)])
    names = [str(path) for path in paths]
    session = Session(program, threads)
    if session.labels is not None and out is not None:
        _refuse_names_of_scores(names)
    if out is not None:
        make_folder(out.parent)
    arrays: dict[str, np.ndarray] = {}
    scores: dict[str, np.ndarray] = {}
    summary: list[dict[str, Any]] = []
    for name, path in zip(names, paths, strict=True):
        try:
            if path.is_dir():
                raise DataError(f"no audio file in this folder; {SUFFIXES_READ} are read")
            waveform = read_audio(path)
            start_s = time.perf_counter()
            if session.labels is None:
                arrays[name] = session.run(waveform, layers=layers)
            else:
                arrays[name], scores[name] = session.run_with_scores(waveform, layers=layers)
        except DataError as error:
            summary.append({"audio": name, "error": str(error).removeprefix(f"{path}: ")})
            continue
        elapsed_s = time.perf_counter() - start_s
        duration_s = waveform.size / SAMPLE_RATE_HZ
        summary.append(
            {
                "audio": name,
                "seconds": round(duration_s, 3),
                "frames": arrays[name].shape[-2],
                "width": arrays[name].shape[-1],
                "ms": round(1e3 * elapsed_s, 2),
                "rtf": round(elapsed_s / duration_s, 5),
            }
        )
        if session.labels is not None:
            summary[-1] |= _likeliest(session.labels, scores[name])
    bad = [f"{entry['audio']}: {entry['error']}" for entry in summary if "error" in entry]
    if not arrays:
        raise DataError(f"no usable audio file among {len(bad)}; {bad[0]}")
    for line in bad:
        say(f"left out {line}")
    if session.labels is not None:
        arrays |= {f"{name}.scores": row for name, row in scores.items()}
        arrays["labels"] = np.array(session.labels)
    if out is not None:
        write_whole(out, lambda temporary: _write_npz(temporary, arrays))
    return summary


def render_run(summary: Sequence[Mapping[str, Any]]) -> str:
    """A line for every file that was used: its label if there is one, length, shape and time."""
    used = [entry for entry in summary if "error" not in entry]
    has_labels = "label" in used[0]
    rows = [
        ("audio", *(("label", "probability") if has_labels else ()), "seconds", "frames", "width")
        + ("ms", "time/audio")
    ]
    for entry in used:
        label = (entry["label"], f"{entry['probability']:.4f}") if has_labels else ()
        figures = (f"{entry['seconds']:.3f}", str(entry["frames"]), str(entry["width"]))
        times = (f"{entry['ms']:.2f}", f"{entry['rtf']:.5f}")
        rows.append((entry["audio"], *label, *figures, *times))
    return "\n".join(aligned(rows))


def _audio_files(path: Path) -> list[Path]:
    """The file itself, or all audio files below a folder, sorted; a folder that has none itself."""
    if not path.is_dir():
        return [path]
    return sorted(f for f in path.rglob("*") if f.suffix.lower() in AUDIO_SUFFIXES) or [path]


def _once_each(paths: Sequence[Path]) -> list[Path]:
    """Files without those that are there already, by whatever path; each of these is named."""
    first: dict[Path, Path] = {}
    for path in paths:
        # A link is a name that somebody chose; only its folder's links are followed.
        place = path.parent.resolve() / path.name
        if place in first:
            say(f"{path}: given twice; it runs once, as {first[place]}")
        first.setdefault(place, path)
    return list(first.values())


def _refuse_names_of_scores(names: Sequence[str]) -> None:
    taken = {"labels", *(f"{name}.scores" for name in names)}
    clash = next((name for name in names if name in taken), None)
    if clash is not None:
        raise ConfigError(f"{clash}: an audio file with the name of an array of scores; rename it")


def _likeliest(labels: Sequence[str], scores: np.ndarray) -> dict[str, Any]:
    """The label with the largest score, and its share of a softmax."""
    shares = np.exp(scores.astype(np.float64) - scores.max())
    best = int(np.argmax(scores))
    return {"label": labels[best], "probability": round(float(shares[best] / shares.sum()), 4)}


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Not by `np.savez`, whose own arguments are names that no array may have."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
