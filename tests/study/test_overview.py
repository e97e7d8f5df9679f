"""What a person sees while a study runs, and at its end."""

import io

import pytest
from made_up_results import made_up_results
from rich.console import Console

from earbit.study.outcome import Outcome
from earbit.study.overview import LiveOverview, Overview, duration
from earbit.study.step import Step
from earbit.study.summary import summary
from earbit.study.workers import Progress

TRAIN = Step(stage="pretrain", encoder="hubert-tiny", plan="fp32", seed=0, estimate_s=60)
SCORE = Step(stage="score", encoder="fbank", plan="-", seed=0, task="ks", estimate_s=60)
ACCURACY = {"valid_accuracy": 0.25, "commonest_unit": 0.1, "n_steps": 5}


@pytest.mark.parametrize(("seconds", "text"), [(12.4, "12 s"), (180.0, "3 min"), (9000.0, "2.5 h")])
def test_a_time_is_short(seconds, text):
    assert duration(seconds) == text


def test_lines_name_the_step_its_time_its_figures_and_what_is_left(capsys):
    shown = Overview([TRAIN, SCORE], n_jobs=1)
    shown.began(TRAIN)
    shown.ended(TRAIN, Outcome(state="done", result=ACCURACY, wall_s=120.0))
    shown.ended(SCORE, Outcome(state="failed", error="the corpus is silent"))
    assert capsys.readouterr().err.splitlines() == [
        "[1 of 2, about 2 min left] pretrain hubert-tiny fp32 seed 0: 2 min, unit accuracy 25.0%",
        "[2 of 2, about 0 s left] score fbank - seed 0 ks: FAILED, the corpus is silent",
    ]


def test_results_that_were_there_are_not_said(capsys):
    shown = Overview([TRAIN], n_jobs=1)
    shown.ended(TRAIN, Outcome(state="done", result=ACCURACY, wall_s=120.0, is_old=True))
    assert capsys.readouterr().err == ""


def test_the_display_has_stages_running_steps_and_figures():
    shown = LiveOverview([TRAIN, SCORE], n_jobs=2)
    shown.began(SCORE)
    shown.moved(SCORE, Progress("ks updates", 30, 200, ""))
    shown.began(TRAIN)
    shown.ended(TRAIN, Outcome(state="done", result=ACCURACY, wall_s=60.0))
    console = Console(file=io.StringIO(), width=120)
    console.print(shown.render())
    text = console.file.getvalue()
    assert "[1 of 2, about 60 s left]" in text
    assert "pre-training" in text
    assert "1/1" in text
    assert "0/1" in text
    assert "score fbank - seed 0 ks 0 s, ks updates 30 of 200" in text
    assert "unit accuracy 25.0%" in text


def test_the_summary_has_a_row_for_each_encoder_and_plan_and_a_column_for_each_task(tmp_path):
    results = made_up_results()
    results["settings"]["left_out"] = {"qbe": "no clip has a query"}
    lines = summary(results, tmp_path).splitlines()
    head = lines[0]
    for task in results["settings"]["tasks"]:
        assert f" {task} " in head
    rows = [(e, p) for e in results["settings"]["encoders"] for p in results["settings"]["plans"]]
    for encoder, plan in rows:
        if any((s["encoder"], s["plan"]) == (encoder, plan) for s in results["scores"]):
            assert any(line.split()[:2] == [encoder, plan] for line in lines)
    assert "qbe is left out: no clip has a query" in lines
    for one in results["warnings"]:
        assert any(line.endswith(one["text"]) for line in lines)
