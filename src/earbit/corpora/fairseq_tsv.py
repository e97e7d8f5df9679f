"""Tables of fairseq: FILE.tsv of audio, and texts and phones in files of the same name beside it.

The first line of a .tsv is the folder of the audio, the others are `PATH<tab>N_SAMPLES`.  A line of
FILE.wrd (words), FILE.ltr (letters, `|` between words) or FILE.phn (phones) belongs to each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import files_in, text_lines, wrong_line
from earbit.errors import DataError


def _letters(line: str) -> str:
    return " ".join("".join(line.split()).replace("|", " ").split())


LABELS: dict[str, tuple[str, Callable[[str], Any]]] = {
    ".phn": ("phones", str.split),
    ".ltr": ("text", _letters),
    ".wrd": ("text", str.strip),
}
"""Label and reader of a line by suffix; the last of two files with one label counts."""


def _tables(root: Path) -> list[Path]:
    """One table, or all tables of a folder; raises DataError without."""
    tables = files_in(root, "*.tsv") if root.is_dir() else [root]
    if not tables:
        raise DataError(f"{root}: no .tsv in it; give a FILE.tsv of fairseq, or their folder")
    return tables


def _folder(table: Path) -> Path:
    """The folder of the audio of a table: its first line."""
    number, line = next(text_lines(table))
    folder = Path(os.path.abspath(table.parent / line.strip()))
    if not folder.is_dir():
        raise DataError(
            f"{table}:{number}: {folder}: no such folder; the first line is the folder of the "
            "audio, correct it if the audio has been moved"
        )
    return folder


def _audio_root(root: Path) -> Path:
    return Path(os.path.commonpath([_folder(table) for table in _tables(root)]))


def _read(root: Path) -> Iterator[LabelledClip]:
    from earbit.audio.manifest import split_or_none  # here, as the command line reads the table

    top = _audio_root(root)
    for table in _tables(root):
        folder = _folder(table).relative_to(top)
        _, *lines = text_lines(table)
        labels_of = _labels(table, len(lines))
        split = split_or_none(re.split("[-_.]", table.stem)[0])
        for (number, line), labels in zip(lines, labels_of, strict=True):
            name, tab, length = line.rpartition("\t")
            if not tab or not name or not length.strip().isdecimal():
                raise wrong_line(table, number, line, "PATH<tab>N_SAMPLES")
            path = folder / name
            yield LabelledClip(
                id=path.with_suffix("").as_posix(), path=path, labels={"split": split, **labels}
            )


def _labels(table: Path, n_lines: int) -> list[dict[str, Any]]:
    """Labels of every line of a table; raises DataError for a file with fewer or more lines."""
    labels: list[dict[str, Any]] = [{} for _ in range(n_lines)]
    for suffix, (name, read) in LABELS.items():
        path = table.with_suffix(suffix)
        if not path.is_file():
            continue
        lines = [line for _, line in text_lines(path, with_empty=True)]
        if len(lines) != n_lines:
            raise DataError(
                f"{path}: {len(lines)} lines, {table} has {n_lines} files; make both again"
            )
        for of_clip, line in zip(labels, lines, strict=True):
            of_clip[name] = read(line)
    return labels


FAIRSEQ_TSV = PublishedCorpus(
    name="tsv",
    title="table of fairseq",
    licence="examples/wav2vec/wav2vec_manifest.py of fairseq writes FILE.tsv",
    layout=(),
    parts=(Part(tasks=("asr", "pr"), read=_read),),
    audio_root=_audio_root,
)
