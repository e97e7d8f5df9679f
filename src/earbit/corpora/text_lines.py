"""Lines and rows of the text files of a corpus, with messages that name file and line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from earbit.audio.utf8 import read_utf8
from earbit.errors import DataError, shown

ANY_FILE = re.compile(r"\S+")


def files_in(folder: Path, pattern: str) -> list[Path]:
    """Files below a folder by pattern, sorted; without `._NAME`, which macOS adds to each file."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("._"))


def text_lines(path: Path, *, with_empty: bool = False) -> Iterator[tuple[int, str]]:
    """Number and text of every line, with_empty: empty ones too, but for the end of the file.

    A byte order mark and the line ends of Windows are removed.  Raises DataError for a file that
    cannot be read, is not UTF-8 or has no lines.
    """
    is_empty = True
    for number, content in enumerate(read_utf8(path).removesuffix(b"\n").split(b"\n"), start=1):
        try:
            line = content.decode().rstrip("\r")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}:{number}: not UTF-8 at byte {error.start} of the line; correct the line "
                "or copy the file again"
            ) from error
        if line.strip() or with_empty:
            is_empty = is_empty and not line.strip()
            yield number, line
    if is_empty:
        raise DataError(f"{path}: empty; copy it again")


def wrong_line(path: Path, number: int, line: str, expected: str) -> DataError:
    """The error for a line of another form than `expected`."""
    return DataError(f"{path}:{number}: {shown(line)}; expected {expected}")


def trial_lines(path: Path, file: re.Pattern[str] = ANY_FILE) -> Iterator[tuple[bool, str, str]]:
    """Pairs of files, each with whether their speakers are equal; file: pattern of their names.

    Raises DataError for a line that is not `1 FILE FILE` or `0 FILE FILE`.
    """
    for number, line in text_lines(path):
        words = line.split()
        if len(words) != 3 or words[0] not in ("0", "1") or not all(map(file.fullmatch, words[1:])):
            raise wrong_line(path, number, line, "`1 FILE FILE` or `0 FILE FILE`")
        yield words[0] == "1", words[1], words[2]


def table_rows(
    path: Path, columns: Sequence[str], delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of every row of a table whose first line names its columns.

    Raises DataError for a missing column among `columns`, and for a row with missing cells.
    """
    lines = text_lines(path)
    numbers: list[int] = []

    def texts() -> Iterator[str]:
        for number, line in lines:
            numbers.append(number)
            yield f"{line}\n"

    reader = csv.reader(texts(), delimiter=delimiter)
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in columns if name not in header]
    if missing:
        raise DataError(
            f"{path}:{numbers[-1]}: no column {' and no '.join(missing)}, the columns are "
            f"{', '.join(header)}; copy the file again"
        )
    for row in reader:
        if len(row) != len(header):
            raise DataError(
                f"{path}:{numbers[-1]}: {len(row)} cells, the first line has {len(header)}; "
                "correct the line or copy the file again"
            )
        yield numbers[-1], dict(zip(header, row, strict=True))
