"""Numbers of the pages are those of the reports, and every report that a page names exists."""

import re
import shutil
import sys
from itertools import product

import pytest
from blocks import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import figures  # noqa: E402

YAML = ROOT / "benchmarks" / "figures.yaml"
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "results").rglob("README.md")]
REPORT = re.compile(r"[\w./{},*-]+\.jsonl?\b")
DATE = re.compile(r"\d{4}-\d\d-\d\d")


def test_every_number_of_the_pages_is_that_of_its_report():
    assert figures.check() == []


def test_exceptions_are_in_use_and_the_first_pages_are_complete():
    read = figures.read_figures(YAML, ROOT)
    assert {"README.md", "results/README.md"} <= set(read.complete)
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in read.complete]
    assert [
        exception
        for exception in read.exceptions
        if not any(figures.numbers_at(exception, text) for text in texts)
    ] == []


@pytest.fixture
def copy(tmp_path):
    """The pages and reports that the figures need, to change."""
    for folder in ("results", "benchmarks/reports"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    read = figures.read_figures(YAML, ROOT)
    for page in {*read.pages, *read.complete}:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    return tmp_path


def changed(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def number_in(path, before, after):
    """The only number of a page between two texts."""
    (found,) = re.findall(f"{before}([\\d,.]+){after}", path.read_text(encoding="utf-8"))
    return found


def test_a_number_that_differs_from_its_report_is_found(copy):
    page = copy / "README.md"
    per_hour = number_in(page, "reports ", " keywords")
    changed(page, f"reports {per_hour} keywords", "reports 99999 keywords")
    ms = number_in(page, r"\(`w8a8`\) \| ", r" \|")
    changed(page, f"(`w8a8`) | {ms} |", "(`w8a8`) | 1 |")
    first, second = figures.check(YAML, copy)
    assert re.search(rf"shows 99999, is {per_hour[:-1]}[\d.]+ in results/.*false_accepts", first)
    assert "shows 1, is " in second
    assert " in benchmarks/reports/peers_hubert_base_10s_zen5" in second


def test_a_changed_report_is_found(copy):
    report = copy / "results/2026-11-30-keywords-long/times_1s.json"
    changed(report, '"ms": 4.4,', '"ms": 4.5,')
    found = figures.check(YAML, copy)
    assert {line.partition(":")[0] for line in found} >= {"README.md", "results/README.md"}
    assert "shows 4.4, is 4.5 in results/2026-11-30-keywords-long/times_1s.json" in "".join(found)


def test_a_number_without_a_source_and_a_missing_text_are_found(copy):
    per_hour = number_in(copy / "README.md", "reports ", " keywords")
    texts = f"reports {per_hour} keywords", f"reports 1.7 misses and {per_hour} words"
    changed(copy / "README.md", *texts)
    missing, number, threshold = figures.check(YAML, copy)[:3]
    assert re.search(
        r"reports \{\} keywords per hour .*: the page does not have this text", missing
    )
    assert "1.7 has no source" in number
    assert f"{per_hour} has no source" in threshold


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("a.x", 3),
        ("a.rows[engine=torch, plan=None].ms / a.rows[engine=own].ms", 4),
        ("100 * (1 - a.rows[1].ms / 16)", 75),
        ("-max(a.rows[*].ms) + 1e1", -6),
        ("count(a.rows[*]) + sum(a.rows[*].ms) + min(a.rows[*].ms) + mean(a.rows[*].ms)", 36),
        ("a[a key].b-c", 5),
    ],
)
def test_values_of_expressions(expression, value):
    rows = [{"engine": "torch", "plan": None, "ms": 16}, {"engine": "own", "plan": "w1a1", "ms": 4}]
    data = {"x": 3, "rows": rows, "a key": {"b-c": 5}}
    assert figures.value_of(expression, {"a": figures.Source("f", data)}) == value


@pytest.mark.parametrize(
    "expression", ["a.y", "a.rows[*].ms", "a.rows[5].ms", "b.x", "a.x ** 2", "open(a.x)", "print"]
)
def test_expressions_without_a_value_are_refused(expression):
    data = {"x": 3, "rows": [{"ms": 1}, {"ms": 2}]}
    with pytest.raises(ValueError, match="leads to nothing|is not one number"):
        figures.value_of(expression, {"a": figures.Source("f", data)})


def names_of(word):
    """The names that a name with alternatives in braces stands for: a_{1,2}.json is two."""
    parts = [part.split(",") if i % 2 else [part] for i, part in enumerate(re.split("[{}]", word))]
    return ["".join(choice) for choice in product(*parts)]


def reports_named_by(page):
    """Names with a date, and in the pages of results every name outside of commands."""
    text = page.read_text(encoding="utf-8")
    words = set()
    if page.is_relative_to(ROOT / "results"):
        text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
        words = set(REPORT.findall(text))
    words |= {word for word in REPORT.findall(text) if DATE.search(word)}
    return sorted(name for word in words for name in names_of(word) if "NAME" not in name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_report_that_a_page_names_exists(page):
    places = [page.parent, ROOT, ROOT / "benchmarks" / "reports"]
    missing = [
        name
        for name in reports_named_by(page)
        if not any(list(place.glob(name.removeprefix("../../"))) for place in places)
    ]
    assert missing == []
