"""`earbit report`: what it writes, and what it refuses in one line."""

import json

import pytest
from made_up_results import made_up_results

from earbit.cli.main import main
from earbit.errors import ConfigError, DataError, FormatError
from earbit.study.report.verb import read_results, report


@pytest.fixture(autouse=True)
def no_library(monkeypatch):
    monkeypatch.setattr("earbit.study.report.page.chart_library", lambda: "")


def folder_with(tmp_path, name, results):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_the_page_lies_beside_the_results(tmp_path, capsys):
    folder = folder_with(tmp_path, "a", made_up_results(tasks=("ks",)))
    main(["report", str(folder)])
    assert "report.html" in capsys.readouterr().out
    assert "made-up CPU" in (folder / "report.html").read_text(encoding="utf-8")


def test_two_studies_are_written_to_another_page(tmp_path):
    first, second = (folder_with(tmp_path, n, made_up_results(tasks=("ks",))) for n in "ab")
    assert report(first, second) == first / "comparison.html"
    assert report(first / "results.json", second, tmp_path / "c.html") == tmp_path / "c.html"
    assert not (first / "report.html").exists()


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(tmp_path)])
    assert "results.json: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"schema": 0}', '{"rows": []}', "\x00"])
def test_other_content_is_refused(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(FormatError, match="results.json"):
        read_results(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "results.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(FormatError, match="no JSON"):
        read_results(tmp_path)


def test_a_folder_as_page_is_refused_before_anything_is_written(tmp_path):
    folder = folder_with(tmp_path, "a", made_up_results(tasks=("ks",)))
    with pytest.raises(DataError, match="a folder"):
        report(folder, out=folder)
    assert [path.name for path in folder.iterdir()] == ["results.json"]


def test_a_page_that_is_no_html_file_is_refused(tmp_path):
    folder = folder_with(tmp_path, "a", made_up_results(tasks=("ks",)))
    with pytest.raises(ConfigError, match="x.pdf: the page is HTML"):
        report(folder, out=tmp_path / "x.pdf")
    assert not (tmp_path / "x.pdf").exists()
