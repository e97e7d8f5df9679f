import json

from earbit.superb.report import compare, scores_table, shown


def test_rates_are_printed_in_percent_and_term_weighted_values_are_not():
    assert shown("accuracy", 0.98765) == "98.77"
    assert shown("wer", 1.5) == "150.00"
    assert shown("mtwv", 0.07364) == "0.0736"


def score(task, metrics, intervals, higher_is_better, **more):
    first = next(iter(metrics))
    return {
        "task": task,
        "metric": first,
        "metrics": metrics,
        "intervals": intervals,
        "higher_is_better": higher_is_better,
        **more,
    }


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
        "speech recognition", "wer (%)", "12.50", "10.00 to 15.00", "lower is better", "proxy",
    ]  # fmt: skip
    assert cells[3] == ["cer (%)", "6.25", "5.00 to 7.50", "lower is better", "proxy"]


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
    assert [row.get("finetuned", False) for row in rows[:2]] == [False, True]
    of_frozen, of_tuned = text.splitlines()[1:3]
    assert of_frozen.split()[:2] == ["mine", "50.00"]
    assert of_tuned.startswith(f"mine ({mark})")
    assert "75.00" in of_tuned
    assert "75.00" not in of_frozen
