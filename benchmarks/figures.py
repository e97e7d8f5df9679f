"""Compares the numbers of README, docs and model cards with the reports that they come from.

    python benchmarks/figures.py

`benchmarks/figures.yaml` lists, by page, pieces of text with an expression in place of each number:

    "takes {quick.rows[program=float].ms} ms, {100 * long.value} % are right"

The first word of a path names a source: a report, or an element of it.  The steps after it are a
field (`.ms` or `[ms per s]`), an index (`[0]`), all elements (`[*]`), or the elements of a list
with given fields (`[engine=earbit, plan=w1a1]`).  Numbers and paths of one value are joined by
+ - * / with spaces around them, and the functions below take a path of several values.  An
expression must agree with the number of the page to its last shown digit.

In a text, ... stands for anything.  An entry with `each` stands for one text per row, in which
$1, $2, ... are the values of the row.  `exceptions` has texts whose numbers, each written {}, come
from no report, by reason.  On pages of `complete`, every other number must belong to an entry, or
every one with a unit of measurement.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from operator import add, mul, sub, truediv
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks/reports/", "results/")
NUMBER = r"(?<![\w.,])-?\d+(?:,\d{3})*(?:\.\d+)?"
STEP = re.compile(r"\.([\w-]+)|\[([^]]*)\]")
PATH = re.compile(r"([A-Za-z]\w*)((?:\.[A-Za-z_][\w-]*|\[[^]]*\])+)")
PLACE = re.compile(r"\{([^}]*)\}")
NOT_PROSE = re.compile(r"(?ms)^ *```.*?^ *```|`[^`\n]*`|\]\([^)]*\)|\d{4}-\d\d-\d\d|^\d+\. ")
UNIT = r" (?:%|(?:ms|us|MB|GB|x|times|minutes|hours|points|GMAC/s)\b)"
ENDS = {"all numbers": r"(?!\w)", "numbers with units": f"(?={UNIT})"}
FUNCTIONS: dict[str, Any] = dict(min=min, max=max, mean=fmean, stdev=stdev, sum=sum, count=len)
OPERATORS: dict[type, Any] = {ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv}


@dataclass(frozen=True)
class Source:
    """A report, or an element of it; `file` is relative to the root of the repository."""

    file: str
    data: Any


@dataclass(frozen=True)
class Figures:
    """The content of `figures.yaml`, with the rows of `each` filled in."""

    sources: dict[str, Source]
    pages: dict[str, list[str]]
    exceptions: list[str]
    complete: dict[str, str]


@cache
def report(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return json.loads(text if path.suffix == ".json" else f"[{','.join(text.splitlines())}]")


def elements(data: Any, path: str) -> list[Any]:
    """All elements of a report that a path leads to."""
    found = [data]
    for field, inside in STEP.findall(path):
        if inside == "*":
            found = [row for element in found for row in element]
        elif "=" in inside:
            wanted = dict(pair.split("=", 1) for pair in re.split(r", (?=\w+=)", inside))
            rows = [row for element in found for row in element]
            found = [row for row in rows if all(str(row.get(k)) == v for k, v in wanted.items())]
        else:
            key = field or inside
            found = [e[int(key)] if isinstance(e, list) else e[key] for e in found]
    return found


def value_of(expression: str, sources: dict[str, Source]) -> float:
    """The value of an expression of `figures.yaml`.  Raises ValueError if it has none."""
    values: dict[str, list[Any]] = {}

    def name_of(path: re.Match[str]) -> str:
        name = f"path_{len(values)}"
        try:
            values[name] = elements(sources[path[1]].data, path[2])
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"{path[0]} leads to nothing: {error!r}") from error
        return name

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(int() | float() as number):
                return number
            case ast.UnaryOp(ast.USub(), operand):
                return -value(operand)
            case ast.BinOp(left, operation, right) if type(operation) in OPERATORS:
                return float(OPERATORS[type(operation)](value(left), value(right)))
            case ast.Call(ast.Name(function), [ast.Name(name)]) if function in FUNCTIONS:
                return float(FUNCTIONS[function](values[name]))
            case ast.Name(name) if len(values.get(name, [])) == 1:
                return float(values[name][0])
        raise ValueError(f"{expression} is not one number")

    return value(ast.parse(PATH.sub(name_of, expression), mode="eval").body)


def read_figures(path: Path, root: Path) -> Figures:
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    sources = {}
    for name, place in raw["sources"].items():
        file, _, inside = place.partition(" ")
        if not file.startswith(FOLDERS):
            raise ValueError(f"{file} is not below {' or '.join(FOLDERS)}")
        found = elements(report(root / file), inside)
        if len(found) != 1:
            raise ValueError(f"source {name} is {len(found)} elements, and must be one")
        sources[name] = Source(file, found[0])
    pages = {page: list(filled(entries)) for page, entries in raw["pages"].items()}
    return Figures(
        sources, pages, sum((e["texts"] for e in raw["exceptions"]), []), raw["complete"]
    )


def filled(entries: list[Any]) -> Iterator[str]:
    """The texts of entries, with one for each row of `each`."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
            continue
        for row in entry["each"]:
            text = entry["text"]
            for number, value in enumerate(row, 1):
                text = text.replace(f"${number}", str(value))
            yield text


def numbers_at(text: str, page: str) -> list[re.Match[str]]:
    """Where a piece of text occurs in a page; the groups of a match are its numbers."""
    parts = [re.escape(part).replace(r"\.\.\.", ".*?") for part in PLACE.split(text)]
    parts[1::2] = [f"({NUMBER})"] * (len(parts) // 2)
    return list(re.finditer("".join(parts), page, re.DOTALL))


def differences(page: str, text: str, figures: Figures) -> Iterator[str]:
    """One line for each number of a page that differs from its source."""
    for entry in figures.pages.get(page, []):
        place = f"{page}: {PLACE.sub('{}', entry)}"
        matches = numbers_at(entry, text)
        if not matches:
            yield f"{place}: the page does not have this text"
        for i, expression in enumerate(PLACE.findall(entry), 1):
            value = value_of(expression, figures.sources)
            files = sorted({figures.sources[path[1]].file for path in PATH.finditer(expression)})
            for shown in (match[i] for match in matches):
                n_decimals = len(shown.partition(".")[2])
                if abs(float(shown.replace(",", "")) - value) > 0.5 * 10**-n_decimals + 1e-9:
                    yield f"{place}: shows {shown}, is {value:.6g} in {', '.join(files)}"


def without_source(page: str, text: str, figures: Figures) -> Iterator[str]:
    """One line for each number of a page that no entry and no exception covers."""
    covered: set[int] = set()
    for entry in [*figures.pages.get(page, []), *figures.exceptions]:
        for match in numbers_at(entry, text):
            covered |= {match.start(i + 1) for i in range(len(match.groups()))}
    prose = NOT_PROSE.sub(lambda match: " " * len(match[0]), text)
    for match in re.finditer(NUMBER + ENDS[figures.complete[page]], prose):
        if match.start() not in covered:
            around = text[max(0, match.start() - 40) : match.end() + 25].replace("\n", " ")
            yield f"{page}: {match[0]} has no source: ...{around}..."


def check(path: Path = ROOT / "benchmarks" / "figures.yaml", root: Path = ROOT) -> list[str]:
    """All lines about numbers of the pages below `root` that are not those of the reports."""
    figures = read_figures(path, root)
    lines: list[str] = []
    for page in dict.fromkeys([*figures.pages, *figures.complete]):
        text = (root / page).read_text(encoding="utf-8")
        lines += differences(page, text, figures)
        if page in figures.complete:
            lines += without_source(page, text, figures)
    return lines


if __name__ == "__main__":
    lines = check()
    print("\n".join(lines) or "all numbers are those of their reports")
    sys.exit(1 if lines else 0)
