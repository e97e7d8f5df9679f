"""Converts a table of labels (CSV) beside the audio to manifest.jsonl."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from earbit.audio.corpus_names import MANIFEST_NAME
from earbit.audio.manifest import (
    NAME_LABELS,
    TEXT_LABELS,
    check_stays_inside,
    split_named,
)
from earbit.audio.utf8 import conversion_to_utf8, read_utf8
from earbit.errors import DataError
from earbit.files import name_of, path_named, writable, write_text
from earbit.progress import say

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "|"}
COLUMNS = ("path", "id", "split", *NAME_LABELS, *TEXT_LABELS, "intent", "emotion", "phones")
SEPARATOR_LINE = re.compile('"?sep=([,;\t|])"?', re.IGNORECASE)
"""First line that Excel reads as the separator of the cells."""
N_NAMED = 3
"""Maximum number of rejected lines that are listed."""


def write_manifest(root: Path, table: Path, report_path: Path) -> dict[str, Any]:
    """Writes `root/manifest.jsonl` from a table with a header and the column `path`.

    Paths are relative to `root`.  Empty cells are ignored.  Columns outside of COLUMNS and unusable
    lines are skipped, printed and counted in the result.  report_path: the file to which the caller
    writes the result, for messages.  Raises DataError for a missing or unreadable table, an
    existing manifest and a table without usable lines.
    """
    target = root / MANIFEST_NAME
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the folder of the audio as --root")
    if not os.path.exists(table):
        raise DataError(f"{table}: no such file; give the table of labels as --labels")
    if os.path.lexists(target):
        raise DataError(
            f"{target}: exists already and is not overwritten; move it away, or leave out --labels"
        )
    header, rows = _rows_of(table)
    unknown = [name for name in header if name not in COLUMNS]
    if not {*header} & {*COLUMNS} - {"path", "id"}:
        raise DataError(
            f"{table}: no column of labels among {', '.join(header)}; allowed are "
            f"{', '.join(COLUMNS)}"
        )
    records: dict[str, dict[str, Any]] = {}
    line_of: dict[str, int] = {}
    left_out: list[dict[str, Any]] = []
    n_rows = 0
    for line, row in rows:
        n_rows += 1
        try:
            record = _record(root, header, row)
            path = record["path"]
            if path in line_of:
                raise DataError(f"{path} is on line {line_of[path]} already, which is used")
        except DataError as error:
            left_out.append({"line": line, "reason": str(error)})
        else:
            line_of[path] = line
            records[path] = record
    if not records:
        first = f"; line {left_out[0]['line']}: {left_out[0]['reason']}" if left_out else ""
        raise DataError(f"{table}: none of its {n_rows} lines can be used{first}")
    lines = [json.dumps(r, ensure_ascii=False) + "\n" for r in writable(list(records.values()))]
    write_text(target, "".join(lines))
    _say_what_is_left_out(table, unknown, left_out, report_path)
    return {
        "manifest": str(target),
        "n_lines": n_rows,
        "n_written": len(records),
        "unknown_columns": unknown,
        "left_out": left_out,
    }


def _rows_of(table: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Column names, and all other rows with line numbers; empty rows are skipped."""
    content = read_utf8(table)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{table}: not UTF-8 at byte {error.start}; if it is of Windows, convert it with: "
            f"{conversion_to_utf8(table, 'WINDOWS-1252')}"
        ) from error
    lines = text.splitlines()
    of_excel = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    n_before = 0 if of_excel is None else 1
    first = next(iter(lines[n_before:]), "")
    for delimiter in DELIMITERS if of_excel is None else (of_excel[1],):
        names = next(csv.reader([first], delimiter=delimiter), [])
        header = _without_empty_end([name.strip().lower() for name in names])
        if "path" in header:
            break
    else:
        raise DataError(
            f"{table}: no column `path` in line {n_before + 1}, {first[:80]!r}; it must name the "
            f"columns, separated by {', '.join(DELIMITERS.values())}; allowed are "
            f"{', '.join(COLUMNS)}"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{table}: two columns are called {twice[0]!r}; rename or remove one")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return header, _numbered(table, reader, n_skipped=n_before + 1)


def _without_empty_end(cells: list[str]) -> list[str]:
    """Cells without empty ones at the end, which spreadsheets add to every line."""
    n_cells = max((i for i, cell in enumerate(cells, start=1) if cell.strip()), default=0)
    return cells[:n_cells]


def _numbered(table: Path, reader: Any, n_skipped: int) -> Iterator[tuple[int, list[str]]]:
    line = 1
    try:
        for row in reader:
            if line > n_skipped and any(cell.strip() for cell in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{table}:{line}: {error}; correct the line") from error


def _record(root: Path, header: list[str], row: list[str]) -> dict[str, Any]:
    """Converts a row to a line of the manifest; raises DataError for invalid rows."""
    if len(row) > len(header):
        row = [*row[: len(header)], *_without_empty_end(row[len(header) :])]
    if len(row) != len(header):
        raise DataError(f"{len(row)} cells, the line of column names has {len(header)}")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=True) if name in COLUMNS}
    record: dict[str, Any] = {name: cell for name, cell in cells.items() if cell}
    if "path" not in record:
        raise DataError("`path` is empty")
    path = _relative(root, record["path"])
    if not os.path.isfile(path_named(root, path)):
        raise DataError(f"{path}: no such file below {root}")
    if "split" in record:
        record["split"] = split_named(record["split"])
    if "phones" in record:
        record["phones"] = record["phones"].split()
    return {**record, "path": path}


def _relative(root: Path, path: str) -> str:
    """A path in the notation of manifests: relative to `root`, with /."""
    top = name_of(root.absolute())
    if PurePath(path).is_absolute() and PurePath(path).is_relative_to(top):
        path = str(PurePath(path).relative_to(top))
    check_stays_inside("in this line", path)
    if "\\" in path and not os.path.lexists(path_named(root, path)):
        path = path.replace("\\", "/")
    return PurePath(path).as_posix()


def _say_what_is_left_out(
    table: Path, unknown: list[str], left_out: list[dict[str, Any]], report_path: Path
) -> None:
    if unknown:
        names = ", ".join(map(repr, unknown))
        say(f"{table}: columns not used: {names}; allowed are {', '.join(COLUMNS)}")
    for item in left_out[:N_NAMED]:
        say(f"{table}:{item['line']}: left out, {item['reason']}")
    if (n_more := len(left_out) - N_NAMED) > 0:
        more = "1 more line" if n_more == 1 else f"{n_more} more lines"
        say(f"{table}: {more} left out; see {report_path}")
