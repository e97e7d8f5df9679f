"""Scores of `earbit superb` beside the times of `earbit bench`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError, FormatError

Scores = dict[str, dict[str, Any]]
"""Digest of a model or program -> title of a column -> value, and text with its marks."""


def read_scores(folders: Sequence[Path]) -> dict[Path, Scores]:
    """Scores of output folders of `earbit superb`, or of their folders by task.

    Raises ConfigError for a folder without scores, FormatError for a damaged file.
    """
    return {folder: _read(folder) for folder in folders}


def scores_of(
    found: Mapping[Path, Scores], programs: Mapping[str, Path], model: Path | None
) -> dict[str | None, dict[str, Any]]:
    """Scores of each program by plan, and of the model in float by None.

    Raises ConfigError for a folder whose scores are of none of them.
    """
    if not found:
        return {}
    from earbit.runtime.program_file import file_digest, read_program

    digests: dict[str | None, set[Any]] = {
        plan: {file_digest(path), read_program(path).origin.get("model_digest")}
        for plan, path in programs.items()
    }
    if model is not None:
        from earbit.load import load_model
        from earbit.model_digest import weights_digest

        digests[None] = {weights_digest(load_model(model))}
    known = set().union(*digests.values())
    for folder, by_digest in found.items():
        if not known & set(by_digest):
            raise ConfigError(
                f"--scores {folder}: scores of another model than is measured (digest "
                f"{', '.join(digest[:12] for digest in by_digest)}); give the output of earbit "
                "superb on this program or on the model that it was exported from"
            )
    return {
        plan: _merged(
            (f"--scores {folder}", by_digest[digest])
            for folder, by_digest in found.items()
            for digest in of_plan & set(by_digest)
        )
        for plan, of_plan in digests.items()
    }


def _merged(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """All scores of a model by title.  Raises ConfigError for two different ones of a title."""
    merged: dict[str, Any] = {}
    for where, scores in parts:
        for title, score in scores.items():
            if merged.setdefault(title, score) != score:
                raise ConfigError(
                    f"{where}: {title} of {score['text']}, but another folder has "
                    f"{merged[title]['text']} of the same model; give one of them"
                )
    return merged


def _read(folder: Path) -> Scores:
    from earbit.superb.report import in_percent, protocol_said, shown
    from earbit.superb.task import SCORES_NAME

    own = folder / SCORES_NAME
    files = [own] if own.is_file() else sorted(folder.glob(f"*/{SCORES_NAME}"))
    if not files:
        raise ConfigError(
            f"--scores {folder}: no {SCORES_NAME} in it; give output folders of earbit superb"
        )
    scores: Scores = {}
    for path in files:
        try:
            score = json.loads(path.read_text(encoding="utf-8"))
            task, metric, value = score["task"], score["metric"], float(score["value"])
            protocol = protocol_said(score)
            marks = [protocol] if protocol not in ("", "superb") else []
            title = in_percent(f"{task} {metric}")
            text = " ".join([shown(metric, value), *([f"({', '.join(marks)})"] if marks else [])])
            digest = str(score["model_digest"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: not a score of earbit superb ({error})") from error
        of_file = {title: {"value": value, "marks": marks, "text": text}}
        scores[digest] = _merged([(str(path), scores.get(digest, {})), (str(path), of_file)])
    return scores
