"""`earbit report`: makes the page of a study again, or compares two studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError, DataError, FormatError
from earbit.files import require_place
from earbit.study.report.page import write_report

RESULTS_NAME = "results.json"
SCHEMA = 1
PAGE_NAMES = ("report.html", "comparison.html")


def report(folder: Path, other: Path | None = None, out: Path | None = None) -> Path:
    """Writes the page from the results of one or two studies; returns its path.

    folder, other: folders with a results.json, or such files.  Raises DataError and FormatError
    for missing and for invalid results, and ConfigError for an `out` that is no HTML file, before
    anything is written.
    """
    results = read_results(folder)
    compared = None if other is None else read_results(other)
    home = folder if folder.is_dir() else folder.parent
    page = home / PAGE_NAMES[other is not None] if out is None else out
    require_place(page)
    if page.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out {page}: the page is HTML; give a file that ends in .html")
    write_report(results, page, compared)
    return page


def read_results(where: Path) -> dict[str, Any]:
    """The content of results.json in a folder, or of a file with another name."""
    path = where / RESULTS_NAME if where.is_dir() else where
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the --out folder of an `earbit study`")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: no JSON ({error}); run the study again") from error
    schema = results.get("schema") if isinstance(results, dict) else None
    if schema != SCHEMA:
        raise FormatError(
            f"{path}: results of schema {schema!r}, allowed is {SCHEMA}; run `earbit study` again "
            "with this version of earbit"
        )
    return dict(results)
