"""The page: complete, self-contained, and made of any part of the results."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
from made_up_results import made_up_results
from made_up_tables import ENCODERS

from earbit.study.report import script
from earbit.study.report.charts.spec import Chart, columns_of, short_names
from earbit.study.report.charts.training import N_POINTS, thinned
from earbit.study.report.page import page_of, write_report
from earbit.study.report.tables import front

DOCS = Path(__file__).parents[2] / "docs"
ROW = ("encoder", "plan", "task")
TABLES = [key for key, value in made_up_results().items() if isinstance(value, list)]


class Elements(HTMLParser):
    """Start tags with attributes, texts, and whether all tags are closed."""

    VOID = ("meta", "link", "br", "input")

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        self.texts.append(data)


def page(results, other=None):
    return page_of(results, other, script="/* library */")


def inlined(text, name):
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.S)
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def whole():
    return page(made_up_results())


def test_the_page_needs_no_other_file(whole):
    for tag, attributes in Elements(whole).tags:
        assert "src" not in attributes, tag
        if tag == "link":
            assert attributes["href"] == "data:,"
        if tag == "a":
            assert attributes["href"].startswith(("#", "https://arxiv.org/"))
    assert "url(" not in whole
    assert "@import" not in whole


def test_the_page_has_every_part(whole):
    headings = ["Claims of the paper", "Scores", "Cost", "Score against time and storage"]
    headings += ["Measured time", "Estimated and measured speed-up", "Propagation of errors"]
    headings += ["Deep and narrow, shallow and wide", "Training", "Units", "Provenance"]
    found = "\n".join(Elements(whole).texts)
    for heading in headings:
        assert heading in found
    for encoder in ENCODERS:
        assert encoder in found


def test_every_chart_has_a_place_and_data(whole):
    specs = inlined(whole, "specs")
    places = [a for _, a in Elements(whole).tags if "data-chart" in a]
    assert sorted(int(place["data-chart"]) for place in places) == list(range(len(specs)))
    for choices in specs:
        assert choices
        for spec in choices.values():
            assert '"values": [{' in json.dumps(spec), spec["description"]


def test_the_results_can_be_taken_from_the_page(whole):
    files = inlined(whole, "files")
    assert json.loads(files["results.json"]) == made_up_results()
    lines = files["scores.csv"].splitlines()
    assert len(lines) == 1 + len(made_up_results()["scores"])
    assert lines[0].startswith("encoder,plan,seed,task,metric,higher_is_better,value,low,high")
    buttons = {a["data-file"] for tag, a in Elements(whole).tags if tag == "button"}
    assert buttons == set(files)


def test_equal_results_give_equal_pages(whole):
    assert page(made_up_results()) == whole


@pytest.mark.parametrize("table", TABLES)
def test_a_table_may_be_missing_or_empty(table):
    results = made_up_results(tasks=("ks", "pr"))
    for value in ([], None):
        results[table] = value
        assert "Provenance" in page(results)


@pytest.mark.parametrize(
    "some",
    [
        {"encoders": ("hubert-tiny",)},
        {"encoders": ("conformer-tiny", "squeezeformer-tiny")},
        {"plans": ("fp32",)},
        {"plans": ("w1a1",)},
        {"plans": ("fp32", "w8a8", "w1a1")},
        {"tasks": ()},
        {"tasks": ("qbe",)},
        {"seeds": (0, 1, 2)},
    ],
    ids=str,
)
def test_a_study_may_be_any_part_of_the_whole(some):
    assert "Provenance" in page(made_up_results(**some))


def test_records_may_lack_any_field():
    whole = made_up_results(encoders=("hubert-tiny", "sparseformer-dn-tiny"), tasks=("ks",))
    keys = {table: [k for k in whole[table][0] if k not in ROW] for table in TABLES if whole[table]}
    for i in range(max(map(len, keys.values()))):
        results = copy.deepcopy(whole)
        for table, names in keys.items():
            for record in results[table]:
                record.pop(names[i % len(names)], None)
        assert "Provenance" in page(results), i


def test_an_empty_study_is_said_to_have_no_scores():
    assert "has no scores" in page({"schema": 1})


def test_warnings_and_failed_steps_come_before_all_results():
    results = made_up_results(tasks=("ks",))
    results["warnings"] = [
        {"encoder": "conformer-tiny", "plan": "w1a1", "seed": 0, "text": "ks is at chance"}
    ]
    results["steps"][0] |= {"state": "failed", "error": "no space left"}
    found = page(results)
    alerts = [i for i in (found.index("ks is at chance"), found.index("no space left"))]
    assert max(alerts) < found.index('id="claims"')
    assert found.count('class="alert" role="alert"') == 2


def test_a_program_that_scores_unlike_its_model_is_a_warning():
    results = made_up_results(tasks=("ks",))
    assert "the exported program does not score" not in page(results)
    results["scores"][0]["packed_value"] = 0.1
    found = page(results)
    assert "the exported program does not score as its model" in found
    assert "(10.0 against" in found


def test_text_of_the_results_cannot_become_html():
    results = made_up_results(tasks=("ks",))
    evil = "</script><script>alert(1)</script><img src=x>"
    results["settings"]["corpus"] = evil
    results["warnings"] = [{"encoder": None, "plan": None, "seed": None, "text": evil}]
    found = page(results)
    assert "<script>alert" not in found
    assert "<img" not in found
    assert json.loads(inlined(found, "files")["results.json"]) == results


def test_a_score_at_chance_is_marked():
    results = made_up_results(tasks=("ks",))
    assert "†</td>" not in re.sub(r"<small.*?</small>", "", page(results))
    record = next(r for r in results["scores"] if r["plan"] == "w1a1")
    record |= {"value": 0.2, "interval": [0.15, 0.25]}
    assert "20.0†" in page(results)


def test_two_studies_are_compared_row_by_row():
    first, second = made_up_results(), made_up_results(seeds=(0, 1, 2))
    second["settings"]["corpus"] = "other-corpus"
    for record in second["scores"]:
        if (record["encoder"], record["plan"], record["task"]) == ("hubert-tiny", "w1a1", "ks"):
            record |= {"value": 0.3, "interval": [0.28, 0.32]}
    text = page(first, second)
    found = " ".join(" ".join(Elements(text).texts).split())
    assert "other-corpus" in found
    assert "clearly worse in 1." in found
    assert set(inlined(text, "files")) == {"results.json", "other-results.json"}


def test_studies_without_a_common_row_are_compared_without_tables():
    first = made_up_results(encoders=("hubert-tiny",), tasks=("ks",))
    second = made_up_results(encoders=("conformer-tiny",), tasks=("pr",))
    text = page(first, second)
    assert "hubert-tiny fp32 is only in A" in text
    assert "no score in common" in text


def test_the_front_has_the_best_score_of_every_price():
    points = [(1.0, 0.5), (2.0, 0.4), (2.0, 0.7), (3.0, 0.7), (4.0, 0.9)]
    assert front(points) == [0, 2, 4]


def test_shared_endings_of_names_are_left_out():
    assert list(short_names(["hubert-tiny", "sparseformer-dn-tiny"]).values()) == [
        "hubert",
        "sparseformer-dn",
    ]
    assert list(short_names(["hubert-base", "conformer-s"]).values()) == [
        "hubert-base",
        "conformer-s",
    ]
    assert list(short_names(["hubert-tiny"]).values()) == ["hubert-tiny"]


def test_long_curves_are_averaged():
    pairs = [(float(i), float(i % 2)) for i in range(10_000)]
    found = thinned(pairs)
    assert len(found) <= N_POINTS
    assert all(0.4 < y < 0.6 for _, y in found)
    assert thinned(pairs[:50]) == pairs[:50]


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (4, 4), (6, 3), (8, 4), (10, 5)])
def test_charts_fill_their_rows(n, columns):
    charts = [Chart("", {}) for _ in range(n)]
    assert columns_of([*charts, Chart("", {}, is_wide=True)]) == columns


def test_the_library_is_kept_and_cannot_end_its_element(tmp_path, monkeypatch):
    made = []

    class Converter:
        @staticmethod
        def javascript_bundle(snippet):
            made.append(snippet)
            return "const x = '</script><!--';" + snippet

    monkeypatch.setenv("EARBIT_CACHE", str(tmp_path))
    monkeypatch.setattr(script, "imported", lambda *_: Converter)
    first, second = script.chart_library(), script.chart_library()
    assert first == second
    assert len(made) == 1
    assert "</script" not in first
    assert "<!--" not in first
    assert "window.vegaEmbed" in first


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    class Converter:
        @staticmethod
        def javascript_bundle(snippet):
            return snippet

    (tmp_path / "file").touch()
    monkeypatch.setenv("EARBIT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(script, "imported", lambda *_: Converter)
    assert "vegaEmbed" in script.chart_library()


def test_the_page_is_written_with_the_library(tmp_path, monkeypatch):
    monkeypatch.setattr("earbit.study.report.page.chart_library", lambda: "/* the library */")
    write_report(made_up_results(tasks=("ks",)), tmp_path / "report.html")
    assert "/* the library */" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_made_up_results_follow_the_schema():
    schema = json.loads((DOCS / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(made_up_results(), schema)
