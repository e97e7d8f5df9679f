"""The steps of a study: which work is one step, and which has a key of its own."""

import shutil
from dataclasses import replace

import pytest
from words_corpus import write

from earbit.study.graph import Graph
from earbit.study.request import Request, served
from earbit.study.scale import SCALES, changed
from earbit.study.step import Step, places_of

TINY = replace(SCALES["tiny"], encoders=("sparseformer-sw-tiny",))


def steps_of(root, *, scale=TINY, **more):
    request = Request(scale_name="tiny", scale=scale, corpus=str(root), **more)
    return Graph(request, served(request), "digest").steps()


def scores(steps, plan="fp32"):
    return [step for step in steps if (step.stage, step.plan) == ("score", plan)]


@pytest.mark.parametrize("other", ["words/", "linked", "copied"])
def test_tasks_on_equal_corpora_are_one_step_with_the_place_of_each(tmp_path, other):
    root = write(tmp_path / "words")
    (tmp_path / "linked").symlink_to(root)
    shutil.copytree(root, tmp_path / "copied")
    place = f"{tmp_path}/{other}"
    steps = steps_of(root, task_data=(f"ks={root}", f"sid={place}"), tasks=("ks", "sid"))
    (step,) = scores(steps)
    assert step.parts == ("ks", "sid")
    assert step.inputs["places"] == {"ks": str(root), "sid": place}
    places = places_of(steps, tmp_path / "out")
    assert len({one.folder for one in places.values()}) == len(steps)


def test_tasks_on_other_corpora_are_steps_with_other_keys(tmp_path):
    words, other = write(tmp_path / "words"), write(tmp_path / "other", text="yes")
    steps = steps_of(words, task_data=(f"ks={words}", f"sid={other}"), tasks=("ks", "sid"))
    assert [step.parts for step in scores(steps)] == [("ks",), ("sid",)]
    assert len({places_of(steps, tmp_path)[step.id].key for step in scores(steps)}) == 2


def test_other_trials_move_the_step_of_speaker_verification_alone(tmp_path):
    root = write(tmp_path / "words", n_speakers=6)

    def keys(trials):
        (root / "trials.txt").write_text(trials)
        steps = steps_of(root, tasks=("ks", "asv"))
        places = places_of(steps, tmp_path / "out")
        return {step.task: places[step.id].key for step in scores(steps)}

    same = "1 0-yes.wav 0-no.wav\n"
    before = keys(f"{same}0 0-yes.wav 1-yes.wav\n")
    after = keys(f"{same}0 0-yes.wav 1-no.wav\n")
    assert set(before) == {"ks", "asv"}
    assert before["ks"] == after["ks"]
    assert before["asv"] != after["asv"]


def quantizations(root, plans, quantize_steps):
    scale = changed(TINY, plans=plans, quantize_steps=quantize_steps)
    found = [
        step for step in steps_of(root, scale=scale, tasks=("ks",)) if step.stage == "quantize"
    ]
    return {
        step.plan: (step.settings["config"]["train"]["optimiser"]["n_steps"], step.needs["teacher"])
        for step in found
    }


@pytest.mark.parametrize("plans", [("w1a1", "w1a2"), ("w1a2", "w1a1")])
def test_a_first_stage_of_other_steps_than_its_plan_is_a_step_of_its_own(tmp_path, plans):
    root = write(tmp_path / "words")
    trained = "pretrain sparseformer-sw-tiny fp32 seed 0"
    assert quantizations(root, plans, (100, 200)) == {
        "w1a2-for-w1a1": (100, trained),
        "w1a1": (200, "quantize sparseformer-sw-tiny w1a2-for-w1a1 seed 0"),
        "w1a2": (200, trained),
    }


def test_a_first_stage_with_the_steps_of_its_plan_is_one_step_with_it(tmp_path):
    root = write(tmp_path / "words")
    assert quantizations(root, ("w1a1", "w1a2"), (100, 100)) == {
        "w1a2": (100, "pretrain sparseformer-sw-tiny fp32 seed 0"),
        "w1a1": (100, "quantize sparseformer-sw-tiny w1a2 seed 0"),
    }


def test_two_different_steps_with_one_name_are_refused(tmp_path, monkeypatch):
    given = iter(range(10))
    monkeypatch.setattr(
        Graph, "_units", lambda *_: Step(stage="units", settings={"n_units": next(given)})
    )
    with pytest.raises(ValueError, match="two different steps are called 'units'; give"):
        steps_of(write(tmp_path / "words"), tasks=("ks",), n_seeds=2)


def test_two_steps_with_one_folder_are_refused(tmp_path):
    steps = [Step(stage="score", task=task) for task in ("ks", "sid")]
    with pytest.raises(ValueError, match=r"'score ks' and 'score sid' have one folder, .*; each"):
        places_of(steps, tmp_path)
