"""A study on the units of another program: `--set units=DIR`."""

import json
from dataclasses import replace

import numpy as np
import pytest

from earbit.errors import DataError
from earbit.study.graph import Graph
from earbit.study.job import Job, run_job
from earbit.study.launch import launch_lines, write_recipes
from earbit.study.request import Request, served
from earbit.study.run import run_study
from earbit.study.scale import SCALES
from earbit.study.stages.table import function_of
from earbit.study.step import in_order, places_of
from earbit.units.discover import LABELS, REPORT
from earbit.units.given import take_labels
from earbit.units.labelled import open_training_corpus, units_in
from melodies import write_melodies

N_UNITS = 7
TINY = replace(
    SCALES["tiny"],
    encoders=("sparseformer-sw-tiny",),
    pretrain_steps=2,
    batch_s=4.0,
    crop_s=2.0,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("melodies")
    write_melodies(root, range(12))
    return root


@pytest.fixture(scope="module")
def units(root, tmp_path_factory):
    """Labels at 50 per second that another program has made."""
    folder = tmp_path_factory.mktemp("units")
    corpus = open_training_corpus(str(root))
    rng = np.random.default_rng(0)
    labels = {
        clip.id: rng.integers(N_UNITS, size=round(clip.n_samples / 320))
        for table in (corpus.train, corpus.valid)
        for clip in table
    }
    np.savez(folder / "labels.npz", **labels)
    take_labels(folder / "labels.npz", corpus, folder, n_units=None, rate_hz=50.0)
    return folder


def request(root, units, **changes):
    scale = replace(TINY, settings=(f"units={units}",), **changes)
    return Request(scale_name="tiny", scale=scale, corpus=str(root), n_seeds=2)


def steps_of(asked, digest="digest"):
    return Graph(asked, served(asked), digest).steps()


def test_all_seeds_share_the_given_units(root, units):
    steps = steps_of(request(root, units))
    assert [step.id for step in steps if step.stage == "units"] == ["units"]
    trained = [step for step in steps if step.stage == "pretrain"]
    assert {step.needs["units"] for step in trained} == {"units"}
    assert len(trained) == 2


def test_the_key_of_given_units_follows_from_their_labels_and_not_from_their_folder(
    root, units, tmp_path
):
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in units.iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    here, there = (places_of(steps_of(request(root, u)), tmp_path) for u in (units, moved))
    assert here == there
    mfcc = replace(request(root, units), scale=TINY)
    others = places_of(steps_of(mfcc), tmp_path)
    name = "pretrain sparseformer-sw-tiny fp32 seed 0"
    assert others[name].key != here[name].key


@pytest.mark.parametrize("has_report", [True, False])
def test_models_are_trained_on_the_given_units(root, units, tmp_path, has_report):
    given = tmp_path / "given"
    given.mkdir()
    for name in (LABELS, *[REPORT] * has_report):
        (given / name).write_bytes((units / name).read_bytes())
    digest = open_training_corpus(str(root)).digest
    steps = steps_of(request(root, given), digest)
    places = places_of(steps, tmp_path / "out")
    by_id = {step.id: step for step in steps}
    results = {}
    for step in in_order(steps):
        if step.stage in ("units", "pretrain") and step.seed in (None, 0):
            needs = {role: (by_id[i], places[i]) for role, i in step.needs.items()}
            outcome = run_job(Job(step, places[step.id], needs, function_of(step.stage)))
            assert outcome.state == "done", outcome.error
            results[step.stage] = outcome.result
    histogram = units_in(units).histogram
    assert results["units"]["feature"] == "given"
    assert results["units"].get("labels_of") == ("labels.npz" if has_report else None)
    assert results["units"]["histogram"] == histogram.tolist()
    assert results["pretrain"]["commonest_unit"] == pytest.approx(1 / N_UNITS, abs=0.05)
    trained = places["pretrain sparseformer-sw-tiny fp32 seed 0"].folder
    assert json.loads((trained / "config.json").read_text())["model"]["n_units"] == N_UNITS


def test_given_units_of_another_corpus_are_refused_before_the_first_step(units, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    write_melodies(other, range(20, 30))
    with pytest.raises(DataError, match="corpus"):
        run_study(request(other, units), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_of_units_is_refused_before_the_first_step(root, tmp_path):
    with pytest.raises(DataError, match="give a folder of `earbit units`"):
        run_study(request(root, tmp_path / "none"), tmp_path / "out")


def test_the_lines_for_torchrun_train_on_the_given_units(root, units, tmp_path):
    asked = request(root, units, ranks=32)
    steps = steps_of(asked)
    places = places_of(steps, tmp_path)
    verbs = [
        line.split(" -m earbit ")[1].split()[0]
        for line in launch_lines(steps, places, asked, tmp_path)
        if " -m earbit " in line
    ]
    assert verbs == ["study", "pretrain", "pretrain"]
    write_recipes(steps, places, asked, tmp_path)
    for recipe in (tmp_path / "recipes").iterdir():
        assert json.loads(recipe.read_text())["units"] == str(units)
