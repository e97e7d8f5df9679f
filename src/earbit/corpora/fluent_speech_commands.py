"""Fluent Speech Commands, for intent classification: action, object and location.

Source: arXiv 1904.03670; splits and classes as in s3prl.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import table_rows
from earbit.errors import DataError

SPLITS = ("train", "valid", "test")
SLOTS = ("action", "object", "location")


def _read(root: Path) -> Iterator[LabelledClip | str]:
    for split in SPLITS:
        table = root / _table(split)
        is_named = True
        for number, row in table_rows(table, ("path", *SLOTS)):
            if is_named and "speakerId" not in row:
                is_named = False
                yield f"{table}: no column speakerId, so its clips have no speaker"
            if empty := [name for name in ("path", *SLOTS) if not row[name].strip()]:
                raise DataError(
                    f"{table}:{number}: no {' and no '.join(empty)}; correct the line or copy the "
                    "file again"
                )
            path = Path(row["path"].strip())
            labels = {
                "split": split,
                "speaker": row.get("speakerId"),
                "text": row.get("transcription"),
                "intent": [row[name].strip() for name in SLOTS],
            }
            yield LabelledClip(id=path.with_suffix("").as_posix(), path=path, labels=labels)


def _table(split: str) -> str:
    return f"data/{split}_data.csv"


FLUENT_SPEECH_COMMANDS = PublishedCorpus(
    name="fluent-speech-commands",
    title="Fluent Speech Commands",
    licence=(
        "Fluent Speech Commands Public License, academic use only, by the form at "
        "https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-understanding-research"
    ),
    layout=(*map(_table, SPLITS), "wavs/speakers"),
    parts=(
        Part(
            tasks=("ic",),
            read=_read,
            counts={"train": 23_132, "valid": 3_118, "test": 3_793},
        ),
    ),
)
