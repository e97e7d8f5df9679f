import csv
import json
from dataclasses import asdict
from html.parser import HTMLParser

import pytest

from earbit.cli.bench_scores import read_scores
from earbit.errors import ConfigError, FormatError
from earbit.leaderboard.rows import COLUMNS
from earbit.leaderboard.table import compare
from earbit.superb.report import scores_table, shown
from earbit.superb.tasks import TASKS


def test_rates_are_printed_in_percent_and_term_weighted_values_are_not():
    assert shown("accuracy", 0.98765) == "98.77"
    assert shown("wer", 1.5) == "150.00"
    assert shown("mtwv", 0.07364) == "0.0736"
    assert shown("wer with LM", 0.0479) == "4.79"
    assert shown("ks accuracy", 0.5) == shown("eer picked on test", 0.5) == "50.00"


def score(task, metrics, intervals, higher_is_better, **more):
    first = next(iter(metrics))
    return {
        "task": task,
        "metric": first,
        "metrics": metrics,
        "intervals": intervals,
        "higher_is_better": higher_is_better,
        "corpus_digest": "one",
        **more,
    }


OWN = "proxy: not comparable"


def test_a_table_has_a_line_per_metric_with_its_interval():
    table = scores_table(
        [
            score("qbe", {"mtwv": 0.25}, {"mtwv": None}, True),
            score(
                "asr",
                {"wer": 0.125, "cer": 0.0625},
                {"wer": (0.1, 0.15), "cer": (0.05, 0.075)},
                False,
                protocol_name="proxy",
            ),
        ]
    )
    lines = [line.split("  ") for line in table.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[1] == ["query by example", "mtwv", "0.2500", "higher is better"]
    assert cells[2] == [
        "speech recognition", "wer (%)", "12.50", "10.00 to 15.00", "lower is better", OWN,
    ]  # fmt: skip
    assert cells[3] == ["cer (%)", "6.25", "5.00 to 7.50", "lower is better", OWN]


def test_each_metric_is_said_to_be_better_in_its_own_direction():
    """Slot filling has a score where more is better and one where less is."""
    table = scores_table(
        [
            score(
                "sf",
                {"slot_type_f1": 0.9, "slot_value_cer": 0.2},
                {"slot_type_f1": None, "slot_value_cer": None},
                True,
            )
        ]
    )
    _, f1, cer = table.splitlines()
    assert "higher is better" in f1
    assert "lower is better" in cer


def test_a_fine_tuned_score_is_marked_wherever_it_appears(tmp_path):
    """Also in a folder that has a frozen one too, where the two have a row each."""
    frozen = score("asr", {"wer": 0.5, "cer": 0.25}, {"wer": None, "cer": None}, False)
    tuned = score("ks", {"accuracy": 0.75}, {"accuracy": None}, True, finetuned=True)
    mark = "fine-tuned, not SUPERB"
    lines = scores_table([frozen, tuned]).splitlines()
    assert [mark in line for line in lines] == [False, False, False, True]
    for found in (frozen, tuned):
        (tmp_path / "mine" / found["task"]).mkdir(parents=True)
        (tmp_path / "mine" / found["task"] / "scores.json").write_text(json.dumps(found))
    for suffix in (".csv", ".html"):
        text, rows = compare([tmp_path / "mine"], tmp_path / f"report{suffix}")
        assert mark in (tmp_path / f"report{suffix}").read_text()
    of_frozen, of_tuned = text.splitlines()[1:3]
    assert of_frozen.split() == ["mine", "50.00"]
    assert of_tuned.split() == ["mine", *mark.split(), "75.00"]
    assert [row["protocol"] for row in rows[:2]] == ["", mark]


def test_scores_with_a_language_model_and_picked_on_test_have_lines_of_their_own():
    with_lm = {"metrics": {"wer": 0.1}, "intervals": {"wer": (0.05, 0.2)}}
    table = scores_table(
        [
            score("asr", {"wer": 0.2}, {"wer": None}, False, with_lm=with_lm),
            score("asv", {"eer": 0.3}, {"eer": None}, False, value_picked_on_test=0.25),
        ]
    )
    lines = [line.split() for line in table.splitlines()[1:]]
    assert lines[0] == ["speech", "recognition", "wer", "(%)", "20.00", "lower", "is", "better"]
    assert lines[1][:5] == ["wer", "with", "LM", "(%)", "10.00"]
    assert lines[1][5:8] == ["5.00", "to", "20.00"]
    assert lines[3][:6] == ["eer", "picked", "on", "test", "(%)", "25.00"]


# Comparisons.


def run_folder(root, model, **of_task):
    """An output folder with the scores of tasks."""
    for task, fields in of_task.items():
        metrics = fields.pop("metrics")
        written = score(task, metrics, dict.fromkeys(metrics), True) | fields
        path = root / model / task / "scores.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(written))
    return root / model


def published(task):
    return {"protocol_name": "superb", "protocol": asdict(TASKS[task].published)}


@pytest.fixture
def folders(tmp_path):
    proxy = {"protocol_name": "proxy", "protocol": asdict(TASKS["ks"].proxy)}
    with_lm = {"metrics": {"wer": 0.11}, "intervals": {"wer": None}}
    asr = {"metrics": {"wer": 0.125, "cer": 0.04}, "with_lm": with_lm, **published("asr")}
    return [
        run_folder(tmp_path, "base", asr=asr, qbe={"metrics": {"mtwv": 0.0731}}),
        run_folder(tmp_path, "onebit", ks={"metrics": {"accuracy": 0.9}, **proxy}),
    ]


def test_models_stand_beside_published_scores_in_the_columns_that_they_have(folders):
    text, rows = compare(folders, None)
    lines = text.splitlines()
    assert lines[0].split("  ")[0] == "model"
    header = "wer (%)  wer with LM (%)  ks accuracy (%)"
    assert header in lines[0]
    assert "mtwv" in lines[0]
    assert "eer" not in lines[0]
    by_model = {row["model"]: row for row in rows}
    assert set(by_model) == {
        "base", "onebit", "HuBERT Base", "wav2vec 2.0 Base", "DistilHuBERT", "STaRHuBERT", "FBANK",
    }  # fmt: skip
    assert by_model["base"] == {
        "model": "base", "protocol": "superb", "wer": 0.125, "wer with LM": 0.11, "mtwv": 0.0731,
        "intervals": {}, "differences": {},
    }  # fmt: skip
    (hubert,) = (line for line in lines if line.startswith("HuBERT Base"))
    assert hubert.split()[2:] == ["published", "6.42", "4.79", "96.30", "0.0736"]


def test_scores_of_different_corpora_in_one_column_are_reported(folders, tmp_path, capsys):
    compare(folders, None)
    assert capsys.readouterr().err == ""
    other = run_folder(
        tmp_path,
        "other",
        ks={"metrics": {"accuracy": 0.8}, "corpus_digest": "two", **published("ks")},
        asr={"metrics": {"wer": 0.5}, **published("asr")},
    )
    compare([*folders, other], None)
    assert capsys.readouterr().err == (
        "ks accuracy: scores of different corpora stand in one column; do not compare them\n"
    )


def test_protocols_are_marked_that_do_not_compare_with_published_scores(folders, tmp_path):
    changed = {**published("er"), "protocol": {**asdict(TASKS["er"].published), "n_steps": 200}}
    other = run_folder(tmp_path, "few", er={"metrics": {"accuracy": 0.5}, **changed})
    mixed = run_folder(
        tmp_path,
        "mixed",
        er={"metrics": {"accuracy": 0.5}, **published("er")},
        ks={"metrics": {"accuracy": 0.5}, "protocol_name": "proxy", "protocol": {}},
    )
    _, rows = compare([*folders, other, mixed], None)
    assert [row["protocol"] for row in rows[:4]] == [
        "superb",
        "proxy: not comparable",
        "changed superb: not comparable",
        "proxy: not comparable; superb",
    ]
    assert {row["protocol"] for row in rows[4:]} == {"published"}


class Cells(HTMLParser):
    """Cells of a table by row, and the classes of rows."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.classes, self.is_cell = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
            self.classes.append(dict(attrs).get("class"))
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.is_cell = True

    def handle_endtag(self, tag):
        self.is_cell = False

    def handle_data(self, data):
        if self.is_cell:
            self.rows[-1][-1] += data


def test_csv_and_html_have_the_same_cells(folders, tmp_path):
    (tmp_path / "base").rename(tmp_path / "a <b> & c")
    folders[0] = tmp_path / "a <b> & c"
    compare(folders, tmp_path / "new" / "scores.csv")
    compare(folders, tmp_path / "new" / "scores.html")
    rows = list(csv.reader((tmp_path / "new" / "scores.csv").read_text().splitlines()))
    cells = Cells((tmp_path / "new" / "scores.html").read_text())
    assert cells.rows == rows
    assert len(rows) == 8
    assert rows[1][0] == "a <b> & c"
    assert cells.classes == [None, None, None, *["published"] * 5]


def test_scores_stand_with_their_intervals_and_the_size_of_the_model(tmp_path):
    ks = {"metrics": {"accuracy": 0.9}, "n_parameters": 2_500_000, "n_bytes": 1_234_567}
    folder = run_folder(tmp_path, "a_b", ks=ks | {"intervals": {"accuracy": [0.875, 0.925]}})
    text, rows = compare([folder], tmp_path / "scores.csv")
    line = text.splitlines()[1].split()
    assert line == ["a_b", "2.5", "1.235", "90.00", "[87.50,", "92.50]"]
    assert rows[0]["intervals"] == {"ks accuracy": [0.875, 0.925]}
    hubert = next(line for line in text.splitlines() if line.startswith("HuBERT Base"))
    assert hubert.split()[2:] == ["published", "94.68", "96.30"]
    head, first, *_ = csv.reader((tmp_path / "scores.csv").read_text().splitlines())
    assert first == ["a_b", "", "2.5", "1.235", "90.00", "87.50", "92.50"]
    assert head[2:5] == ["parameters (M)", "size (MB)", "ks accuracy (%)"]
    assert head[5:] == [f"ks accuracy (%) {e} end of 95 % interval" for e in ("low", "high")]


def test_latex_has_the_rules_of_booktabs_and_no_open_command(tmp_path):
    folder = run_folder(tmp_path, "a_b&c", ks={"metrics": {"accuracy": 0.9}})
    compare([folder], tmp_path / "scores.tex")
    lines = (tmp_path / "scores.tex").read_text().splitlines()
    assert lines[1:5] == [
        r"\begin{tabular}{llr}",
        r"\toprule",
        r"model & protocol & ks accuracy (\%) \\",
        r"\midrule",
    ]
    assert lines[5] == r"a\_b\&c &  & 90.00 \\"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_the_columns_are_those_of_the_leaderboard():
    assert list(COLUMNS) == [
        "per", "wer", "wer with LM", "ks accuracy", "mtwv", "sid accuracy", "eer", "der",
        "ic accuracy", "slot_type_f1", "slot_value_cer", "er accuracy",
    ]  # fmt: skip


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"task": "no", "metrics": {"wer": 1}}', "1"])
def test_what_is_no_score_is_named(tmp_path, damage):
    (tmp_path / "scores.json").write_text(damage)
    with pytest.raises(FormatError, match=f"{tmp_path}/scores.json: not a score of earbit superb"):
        compare([tmp_path], None)
    with pytest.raises(ConfigError, match=r"a.txt: a report is .csv, .html or .tex"):
        compare([tmp_path], tmp_path / "a.txt")
    with pytest.raises(ConfigError, match="no scores.json in it"):
        compare([tmp_path / "none"], None)


def test_a_score_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "scores.json").write_text("{}")

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "read_text", refuse)
    for read in (lambda: compare([tmp_path], None), lambda: read_scores([tmp_path])):
        with pytest.raises(FormatError, match=r"scores.json: .*Permission denied"):
            read()
