"""The lines for torchrun make what the study then finds."""

import json
import shlex
from dataclasses import replace

import pytest
from words_corpus import write

from earbit.cli.main import main
from earbit.study import run as module
from earbit.study.graph import Graph
from earbit.study.job import Job, run_job
from earbit.study.launch import launch_lines
from earbit.study.request import Request, served
from earbit.study.run import run_study
from earbit.study.scale import SCALES
from earbit.study.stages.table import function_of
from earbit.study.step import in_order, places_of
from melodies import write_melodies

PAPER = replace(
    SCALES["tiny"],
    encoders=("sparseformer-sw-tiny",),
    iterations=2,
    n_units=8,
    second_units=8,
    pretrain_steps=2,
    second_steps=2,
    batch_s=4.0,
    crop_s=2.0,
    ranks=32,
)


def test_one_process_needs_no_line(tmp_path):
    assert launch_lines([], {}, Request(scale_name="tiny", scale=SCALES["tiny"]), tmp_path) == []


def test_the_lines_quote_paths_and_have_all_settings_of_the_units(tmp_path):
    root = write(tmp_path / "my words")
    scale = replace(PAPER, settings=("fraction=0.5", "memory_gb=0.25"))
    request = Request(scale_name="full", scale=scale, corpus=str(root), resplit=True)
    steps = Graph(request, served(request), "digest").steps()
    places = places_of(steps, tmp_path / "my out")
    lines = launch_lines(steps, places, request, tmp_path / "my out")
    words = [shlex.split(line.split(" -m earbit ")[1]) for line in lines if " -m earbit " in line]
    units = [one for one in words if one[0] == "units"]
    assert len(units) == 2
    for one in units:
        assert one[1] == str(root)
        assert one[one.index("--fraction") + 1] == "0.5"
        assert one[one.index("--memory-gb") + 1] == "0.25"
        assert "--resplit" in one
    folders = {one[-1] for one in words[1:]}
    stages = ("units", "units2", "pretrain", "pretrain2")
    assert folders == {str(places[step.id].folder) for step in steps if step.stage in stages}


@pytest.mark.slow
def test_the_study_goes_on_with_what_the_lines_have_made(tmp_path, monkeypatch, capsys):
    audio, out = tmp_path / "audio", tmp_path / "out"
    audio.mkdir()
    write_melodies(audio, range(12))
    request = Request(scale_name="full", scale=PAPER, corpus=str(audio))
    reached = {}

    def reach(results, places, out_dir):
        reached.update(steps=results.steps, places=places)

    monkeypatch.setattr(module, "_run", reach)
    run_study(request, out)
    said = capsys.readouterr().err.splitlines()
    lines = [line.split(" -m earbit ")[1] for line in said if " -m earbit " in line][1:]
    assert [line.split()[0] for line in lines] == ["units", "pretrain", "units", "pretrain"]
    for line in lines:
        main(shlex.split(line))

    steps, places = reached["steps"], reached["places"]
    by_id = {step.id: step for step in steps}
    for step in in_order(steps):
        if step.stage not in ("units", "pretrain", "units2", "pretrain2"):
            continue
        place = places[step.id]
        made = {path: path.stat().st_mtime_ns for path in place.folder.glob("*.safetensors")}
        logs = {path: path.read_text() for path in place.folder.glob("log.jsonl")}
        needs = {role: (by_id[i], places[i]) for role, i in step.needs.items()}
        outcome = run_job(Job(step, place, needs, function_of(step.stage)))
        assert outcome.state == "done", outcome.error
        if step.stage.startswith("units"):
            assert made
            assert all(path.stat().st_mtime_ns == at for path, at in made.items())
        else:
            lines = [json.loads(line) for line in next(iter(logs.values())).splitlines()]
            assert outcome.result["curve"]["step"][-1] == lines[-1]["step"] == 2
            assert all(path.read_text() == text for path, text in logs.items())
