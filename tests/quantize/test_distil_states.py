"""`earbit quantize` without units: the teacher's hidden states are all that a student needs."""

import dataclasses
import json

import pytest
import torch
from quantize_runs import MODEL, run

from earbit.errors import ConfigError
from earbit.load import load_model
from earbit.model import AudioModel
from earbit.model_file import read_model_file, save_model
from earbit.pretrain.update import Update
from earbit.quantize.report import render
from earbit.units.labels import UnitLabels

QUICK = ("train.batch_s=8", "train.crop_s=1")
UNIT_FIGURES = ("valid_accuracy", "valid_cross_entropy", "valid_unmasked_accuracy")


@pytest.fixture(scope="module")
def headless(teacher, tmp_path_factory):
    """The folder of a trained model without its unit head, as imported weights have none."""
    folder = tmp_path_factory.mktemp("headless")
    model = AudioModel(MODEL)
    weights = load_model(teacher).state_dict()
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    save_model(model, folder / "model.safetensors", {})
    return folder


@pytest.fixture
def lonely(teacher, tmp_path):
    """The folder of a pre-trained model whose units are not beside it."""
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes((teacher / "model.safetensors").read_bytes())
    return folder


def test_a_model_without_a_head_teaches_its_states_alone(headless, melodies, tmp_path, capsys):
    runs = {}
    for n_steps in (1, 40):
        out = tmp_path / str(n_steps)
        runs[n_steps] = run(
            headless, melodies, out, plans=("w1a1",), n_steps=n_steps, settings=QUICK
        )
    said = capsys.readouterr().err
    assert f"{headless} has no unit head: learns from the teacher's hidden states alone" in said
    assert runs[40]["valid_state_distance"] < 0.8 * runs[1]["valid_state_distance"]
    assert load_model(out).head is None
    assert not [path for path in out.rglob("*") if "labels" in path.name or path.name == "units"]
    origin = read_model_file(out / "model.safetensors").origin
    assert {"corpus", "teacher"} <= set(origin)
    assert not {"labels", "kmeans"} & set(origin)
    weights = json.loads((out / "config.json").read_text())["weights"]
    del weights["type"]
    assert weights == {"units": 0.0, "states": 1.0, "logits": 0.0}


def test_figures_that_do_not_exist_have_neither_key_nor_column(headless, melodies, tmp_path):
    plans = ("w1a2", "w1a1")
    result = run(headless, melodies, tmp_path, plans=plans, n_steps=1, settings=QUICK)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert "teacher" not in result
    for figures in (result, *result["stages"]):
        names = {name for name in figures if name.startswith("valid_")}
        assert names == {"valid_loss", "valid_state_distance"}
    header, *rows = render(result, "OUT").splitlines()[:3]
    assert header.strip() == "distance to its teacher"
    assert [row.split("  ")[0].strip() for row in rows] == ["1-w1a2, 1 steps", "2-w1a1, 1 steps"]
    for row, stage in zip(rows, result["stages"], strict=True):
        assert row.split()[-1] == f"{stage['valid_state_distance']:.3g}"


def test_a_head_without_its_units_is_kept_as_it_is(lonely, melodies, tmp_path, capsys):
    result = run(lonely, melodies, tmp_path / "out", n_steps=2)
    said = capsys.readouterr().err
    assert f"no units beside {lonely}: learns from the teacher's hidden states alone" in said
    assert not set(UNIT_FIGURES) & set(result)
    before, after = (load_model(folder).head.state_dict() for folder in (lonely, tmp_path / "out"))
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("n_units", "reason"),
    [
        (7, "have 7 units, the model has 4: learns from the teacher's hidden states alone"),
        (4, "are not those of the model's pre-training (k-means of another corpus or seed): "),
    ],
)
def test_units_that_are_not_used_are_named_with_the_reason(
    lonely, teacher, melodies, tmp_path, capsys, n_units, reason
):
    labels = UnitLabels.load(teacher / "units" / "labels.safetensors")
    header = dataclasses.replace(labels.header, n_units=n_units, kmeans_digest="another")
    (lonely / "units").mkdir()
    other = dataclasses.replace(labels, header=header)
    other.save(lonely / "units" / "labels.safetensors")
    result = run(lonely, melodies, tmp_path / "out", n_steps=1, settings=QUICK)
    said = capsys.readouterr().err
    assert f"units in {lonely / 'units'} {reason}" in said
    assert "no units beside" not in said
    assert not set(UNIT_FIGURES) & set(result)


def test_logits_need_a_head_and_no_units(lonely, melodies, tmp_path):
    result = run(lonely, melodies, tmp_path / "out", n_steps=1, settings=["weights.logits=1"])
    assert "valid_logit_divergence" in result
    assert not set(UNIT_FIGURES) & set(result)


def test_a_preset_finds_no_units(melodies, tmp_path, capsys):
    run("hubert-tiny", melodies, tmp_path, n_steps=1, settings=QUICK)
    said = capsys.readouterr().err
    assert "hubert-tiny is a preset with random weights and without a unit head: learns" in said
    assert not (tmp_path / "units").exists()


@pytest.mark.parametrize("name", ["units", "logits"])
def test_a_weight_that_needs_a_head_is_refused_before_any_audio_is_read(
    name, headless, tmp_path, monkeypatch
):
    monkeypatch.setattr("earbit.quantize.verb.open_training_corpus", None)
    with pytest.raises(ConfigError, match=f"weights.{name}=0.5 .*no unit head; .*pretrain"):
        run(headless, "corpus", tmp_path / "out", settings=[f"weights.{name}=0.5"])
    assert not (tmp_path / "out").exists()


def test_a_weight_that_needs_units_is_refused_before_any_audio_is_read(
    lonely, tmp_path, monkeypatch
):
    monkeypatch.setattr("earbit.quantize.verb.open_training_corpus", None)
    with pytest.raises(ConfigError, match=r"weights.units=1 .*no units; set weights.units=0, or"):
        run(lonely, "corpus", tmp_path / "out", settings=["weights.units=1"])
    assert not (tmp_path / "out").exists()


def test_a_run_with_units_does_not_go_on_without_them(teacher, lonely, melodies, tmp_path):
    run(teacher, melodies, tmp_path / "out", n_steps=1)
    with pytest.raises(ConfigError, match="holds a run with weights.logits=1.0 weights.units=1.0"):
        run(lonely, melodies, tmp_path / "out", n_steps=1)


def test_a_run_that_was_cut_short_ends_with_the_same_bits(
    headless, melodies, tmp_path, monkeypatch
):
    settings = (*QUICK, "train.checkpoint_every_steps=2")
    run(headless, melodies, tmp_path / "whole", n_steps=4, settings=settings)
    real_step, n_calls = Update.__call__, 0

    def dying_step(*args):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4:
            raise KeyboardInterrupt
        return real_step(*args)

    monkeypatch.setattr(Update, "__call__", dying_step)
    with pytest.raises(KeyboardInterrupt):
        run(headless, melodies, tmp_path / "cut", n_steps=4, settings=settings)
    monkeypatch.setattr(Update, "__call__", real_step)
    run(headless, melodies, tmp_path / "cut", n_steps=4, settings=settings)
    whole, cut = (read_model_file(tmp_path / d / "model.safetensors") for d in ("whole", "cut"))
    assert set(whole.tensors) == set(cut.tensors)
    assert all(torch.equal(whole.tensors[name], cut.tensors[name]) for name in whole.tensors)
