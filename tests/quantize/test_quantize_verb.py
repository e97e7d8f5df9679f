"""`earbit quantize` as a whole: the 1-bit model learns, from its teacher and on its units."""

import json

import pytest
import torch
from quantize_runs import MODEL, run

from earbit.config import from_dict
from earbit.errors import ConfigError
from earbit.export.verb import export_model
from earbit.load import load_model, random_model
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_file import read_model_file
from earbit.nn.precision import Precision
from earbit.presets import PRESETS, preset
from earbit.pretrain.recipe import preset_recipe
from earbit.quantize.calibrate import CalibrationConfig
from earbit.quantize.plan import PLANS
from earbit.quantize.stages import QuantizeConfig
from earbit.quantize.student import noise_clips, quantized_copy, student_of
from earbit.quantize.verb import default_config


def test_a_one_bit_model_learns_what_its_teacher_knows(teacher, melodies, tmp_path):
    before = run(teacher, melodies, tmp_path / "short", plans=("w1a1",), n_steps=1)
    after = run(teacher, melodies, tmp_path / "long", plans=("w1a1",), n_steps=120)
    assert after["valid_state_distance"] < 0.5 * before["valid_state_distance"]
    assert after["valid_unmasked_accuracy"] > 0.7


def test_batches_and_masks_are_those_of_the_pre_training(teacher, melodies, tmp_path):
    run(teacher, melodies, tmp_path, seed=3)
    origin = read_model_file(tmp_path / "model.safetensors").origin
    config: QuantizeConfig = from_dict(QuantizeConfig, origin["config"])
    assert (config.train.batch_s, config.train.unmasked_weight) == (8.0, 1.0)
    assert (config.train.seed, config.train.optimiser.n_steps) == (3, 3)


def test_the_file_of_a_model_is_as_good_as_its_folder(teacher, melodies, tmp_path):
    run(teacher, melodies, tmp_path / "folder", seed=1)
    run(teacher / "model.safetensors", melodies, tmp_path / "file", seed=1)
    a, b = (read_model_file(tmp_path / d / "model.safetensors") for d in ("folder", "file"))
    assert a.origin["kmeans"] == b.origin["kmeans"]
    assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors)


def test_another_corpus_is_labelled_by_the_units_of_the_pre_training(
    teacher, other_melodies, tmp_path
):
    run(teacher, other_melodies, tmp_path / "out")
    origin = read_model_file(tmp_path / "out" / "model.safetensors").origin
    units = json.loads((teacher / "units" / "units.json").read_text())
    assert origin["kmeans"] == units["kmeans_digest"]
    assert origin["corpus"] != units["corpus_digest"]


def test_a_front_end_with_a_path_without_bits_is_not_warned_about(melodies, tmp_path, capsys):
    run("hubert-tiny", melodies, tmp_path, n_steps=1)
    assert "learn little" not in capsys.readouterr().err


def test_a_preset_can_be_tried_before_anything_is_trained(melodies, tmp_path):
    result = run("sparseformer-dn-tiny", melodies, tmp_path, n_steps=1)
    assert "w1a1" in result["precisions"].values()


def test_one_scale_for_a_whole_weight_goes_all_the_way(teacher, melodies, tmp_path):
    settings = ("granularity=tensor",)
    run(teacher, melodies, tmp_path / "t", plans=("w1a2", "w1a1"), n_steps=1, settings=settings)
    student = load_model(tmp_path / "t")
    leaf = student.encoder.layers[0].feed_forward.output
    assert leaf.granularity == "tensor"
    assert leaf.weight_quantizer.step(leaf.weight).unique().numel() == 1
    by_tensor = weights_digest(student)
    for module in student.modules():
        if hasattr(module, "weight_quantizer"):
            module.granularity = "channel"
    assert weights_digest(student) != by_tensor


def test_a_student_is_exported_as_it_is_and_under_no_other_plan(teacher, melodies, tmp_path):
    run(teacher, melodies, tmp_path / "student", plans=("w1a1",), n_steps=1)
    student, out = str(tmp_path / "student"), tmp_path / "p.safetensors"
    for plan in ("w1a1", "fp32", "w4a4"):
        with pytest.raises(ConfigError, match="quantized already under w1a1; leave out --plan"):
            export_model(student, out, plan=plan)
    assert not out.exists()
    assert export_model(student, out)["agreement"]["bit_agreement"] >= 0.9999


def test_a_student_has_the_weights_and_shifts_it_starts_from_and_scales_of_its_own(
    teacher, melodies, tmp_path
):
    run(teacher, melodies, tmp_path, plans=("w1a2",), n_steps=5)
    before = load_model(tmp_path)
    name = "encoder.layers.0.feed_forward.intermediate"
    clips = noise_clips(0, n_clips=3)
    student = student_of(before, PLANS["w1a1"], clips, CalibrationConfig())
    old, new = (m.get_submodule(name) for m in (before, student))
    assert torch.equal(old.weight, new.weight)
    assert old.input_quantizer.shift.abs().max() > 0
    assert torch.equal(old.input_quantizer.shift, new.input_quantizer.shift)
    assert not torch.isclose(old.input_quantizer.scale, new.input_quantizer.scale)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ({"units": 1, "states": 0, "logits": 0}, {"valid_state_distance": False}),
        ({"units": 0, "states": 1, "logits": 1}, {"valid_state_distance": True}),
    ],
    ids=["units alone", "teacher alone"],
)
def test_a_student_learns_from_what_has_weight(weights, parts, teacher, melodies, tmp_path):
    settings = [f"weights.{name}={value}" for name, value in weights.items()]
    before, after = (
        run(teacher, melodies, tmp_path / str(n), plans=("w1a1",), n_steps=n, settings=settings)
        for n in (1, 100)
    )
    for name, is_there in parts.items():
        assert (name in after) == is_there
    assert "valid_accuracy" in after
    assert after["valid_loss"] < 0.8 * before["valid_loss"]


@pytest.mark.parametrize("plans", [("w1a1", "w1a1-encoder"), ("w1a1-encoder", "w1a1")])
def test_a_student_shares_no_memory_with_its_teacher(plans):
    teacher = quantized_copy(random_model(MODEL, 0), plans[0], noise_clips(0))
    student = student_of(teacher, PLANS[plans[1]], noise_clips(0), CalibrationConfig())
    ours, theirs = ({t.data_ptr() for t in m.state_dict().values()} for m in (student, teacher))
    assert not ours & theirs


@pytest.mark.parametrize("plan", ["w8a8", "w4a4"])
def test_scales_of_weights_stay_alive_at_a_high_learning_rate(plan, teacher, melodies, tmp_path):
    settings = ["train.optimiser.peak_lr=5e-3"]
    run(teacher, melodies, tmp_path, plans=(plan,), n_steps=30, settings=settings)
    before = quantized_copy(load_model(teacher), plan, noise_clips(0)).state_dict()
    after = load_model(tmp_path).state_dict()
    names = [name for name in after if name.endswith("weight_quantizer.log_scale")]
    assert names
    for name in names:
        assert (after[name] - before[name]).abs().max() < 1
        assert not torch.equal(after[name], before[name])


def test_a_plan_of_ones_own_is_a_file(teacher, melodies, tmp_path):
    plan = tmp_path / "mine.json"
    plan.write_text(json.dumps({"encoder.layers.*": "w1a1", "encoder.layers.*context": "w4a8"}))
    run(teacher, melodies, tmp_path / "out", plans=(str(plan),), n_steps=1)
    file = read_model_file(tmp_path / "out" / "model.safetensors")
    assert file.precisions["encoder.layers.0.attention.context"] == Precision(4, 8)
    assert file.origin["rules"] == [
        ["encoder.layers.*", "w1a1"],
        ["encoder.layers.*context", "w4a8"],
    ]
    assert "encoder.layers.0.attention.context" in (tmp_path / "out" / "leaves.txt").read_text()


@pytest.mark.parametrize("name", PRESETS)
def test_a_model_without_a_recipe_has_the_batches_of_the_presets_of_its_size(name):
    with torch.device("meta"):
        n_parameters = sum(p.numel() for p in AudioModel(preset(name)).parameters())
    train = default_config(("w1a1",), (30,), 7, n_parameters=n_parameters).train
    expected = preset_recipe(name).train
    assert (train.batch_s, train.crop_s) == (expected.batch_s, expected.crop_s)
    assert (train.seed, train.optimiser.n_steps, train.optimiser.warmup_steps) == (7, 30, 3)
