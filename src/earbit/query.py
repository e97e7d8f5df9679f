"""`earbit run --query`: documents that contain a spoken query, without PyTorch."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earbit.audio.decode import read_audio
from earbit.audio.given import files_given
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.stoppable import stoppable
from earbit.audio.with_warning import read_with_warning, say_warnings
from earbit.errors import ConfigError, DataError, FormatError
from earbit.files import name_of
from earbit.foreign import refuse_foreign
from earbit.frames import n_samples_of
from earbit.progress import progress
from earbit.run import NoneUsable
from earbit.runtime.arguments import check_layer, is_whole
from earbit.runtime.match import MIN_QUERY_FRAMES, match_scores
from earbit.runtime.program_file import file_digest
from earbit.runtime.results import features_of
from earbit.runtime.session import Session
from earbit.runtime.waveform import LevelWarning
from earbit.shipped import program_path
from earbit.text_table import aligned


def search_files(
    program: Path,
    paths: Sequence[Path],
    query: Path,
    *,
    layer: int | None = None,
    head: Path | None = None,
    threshold: float | None = None,
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Scores documents for a spoken query (`Session.match`), best first, then unusable files.

    layer: a hidden state.  head: a folder of `earbit superb --task qbe` on this model or program,
    which gives the layer and the threshold.  threshold: smallest score of a match.  Raises
    ConfigError without a layer and for a folder of another model, DataError for an unusable query
    and fewer than two usable documents.
    """
    if not paths:
        raise ConfigError("no audio file given; earbit run PROGRAM AUDIO... --query FILE")
    if threshold is not None and not math.isfinite(threshold):
        raise ConfigError(f"threshold={threshold!r}; allowed are finite scores")
    refuse_foreign(program_path(program), "a program that `earbit export` wrote")
    session = Session(program, threads)
    if head is not None:
        if layer is not None:
            raise ConfigError("--layer and --head; the folder names the layer, give one of them")
        layer, of_folder = _of_qbe(head, program, session)
        threshold = of_folder if threshold is None else threshold
    if layer is None:
        raise ConfigError(
            "--query without a layer; give --head DIR of `earbit superb --task qbe --out DIR`, or "
            f"--layer, 0 to {len(session.outputs) - 1}"
        )
    check_layer(layer, len(session.outputs))
    of_query = _query_features(session, query, layer)
    summary, documents = _documents(session, files_given(paths), layer)
    used = [entry for entry in summary if "error" not in entry]
    if not used:
        raise NoneUsable(summary, None)
    if len(used) < 2:
        raise DataError("one usable document; a score compares at least two")
    for entry, score in zip(used, next(match_scores([of_query], documents)), strict=True):
        entry["score"] = round(float(score), 4)
        if threshold is not None:
            entry["is_match"] = bool(score >= threshold)
    used.sort(key=lambda entry: -entry["score"])
    return [*used, *(entry for entry in summary if "error" in entry)]


def render_search(summary: Sequence[Mapping[str, Any]]) -> str:
    """Text with a line per document: score, and whether it matches if there is a threshold.

    Empty without used documents.
    """
    used = [entry for entry in summary if "error" not in entry]
    if not used:
        return ""
    rows = [("document", "score", *(["match"] if "is_match" in used[0] else []))]
    for entry in used:
        verdict = ["yes" if entry["is_match"] else "no"] if "is_match" in entry else []
        rows.append((entry["audio"], f"{entry['score']:.2f}", *verdict))
    return "\n".join(aligned(rows))


def _documents(
    session: Session, paths: Sequence[Path], layer: int
) -> tuple[list[dict[str, Any]], list[NDArray[np.float32]]]:
    """Records of all files, and features of the usable ones."""
    summary: list[dict[str, Any]] = []
    documents = []
    with progress("documents", len(paths)) as advance:
        for path in paths:
            entry: dict[str, Any] = {"audio": name_of(path)}
            try:
                waveform, warning = read_with_warning(path)
                documents.append(_features(session, waveform, layer))
                entry["seconds"] = round(waveform.size / SAMPLE_RATE_HZ, 3)
                if warning is not None:
                    entry["warning"] = warning
            except DataError as error:
                entry["error"] = str(error).removeprefix(f"{path}: ")
            summary.append(entry)
            advance()
    say_warnings(summary)
    return summary, documents


def _query_features(session: Session, path: Path, layer: int) -> NDArray[np.float32]:
    waveform, n_least = stoppable(lambda: read_audio(path)), n_samples_of(MIN_QUERY_FRAMES)
    if waveform.size < n_least:
        raise DataError(
            f"{path}: a query of {waveform.size} samples; at least {n_least} "
            f"({n_least / SAMPLE_RATE_HZ:.3f} s) are needed; give a longer one"
        )
    try:
        return _features(session, waveform, layer)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _features(session: Session, waveform: np.ndarray, layer: int) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LevelWarning)  # it is said with the name
        state = session.outputs[layer : layer + 1]
        return features_of(state, session.values(waveform, state), "last")


def _of_qbe(folder: Path, program: Path, session: Session) -> tuple[int, float | None]:
    """Layer and threshold that `earbit superb` picked for this model or program."""
    several = folder / "qbe" / "scores.json"
    path = several if several.is_file() else folder / "scores.json"
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give a folder of `earbit superb --task qbe`")
    try:
        score = json.loads(path.read_text(encoding="utf-8"))
        task, digest = score["task"], score["model_digest"]
        layer, threshold = score.get("layer"), score.get("threshold")
        if layer is not None and not is_whole(layer):
            raise ValueError(f"layer {layer!r}")
        if threshold is not None and not math.isfinite(threshold):
            raise ValueError(f"threshold {threshold!r}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: not a score of earbit superb ({error})") from error
    if task != "qbe" or layer is None:
        raise ConfigError(f"{path}: of task {task!r}; give a folder of `earbit superb --task qbe`")
    if digest not in (file_digest(program_path(program)), session.origin.get("model_digest")):
        raise ConfigError(
            f"{path}: of another model than {program}; run earbit superb {program} --task qbe "
            "--out DIR"
        )
    return layer, threshold
