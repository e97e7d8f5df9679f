"""`earbit binarize` as a whole: the 1-bit model learns, from its teacher and on its units."""

import dataclasses
import json

import pytest
import torch

from earbit.config import from_dict
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError
from earbit.model import ModelConfig
from earbit.model_file import read_model_file
from earbit.nn.front_end import FrontEndConfig
from earbit.pretrain.loop import TrainConfig
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.verb import pretrain
from earbit.quantize.verb import BinarizeConfig, binarize

MODEL = ModelConfig(
    encoder=TransformerConfig(
        n_layers=1, d_model=32, n_heads=2, d_ffn=64, position_kernel=16, layer_drop=0.0
    ),
    front_end=FrontEndConfig(n_channels=32),
)


@pytest.fixture(scope="module")
def teacher(melodies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    optimiser = OptimiserConfig(peak_lr=4e-3, n_steps=120, warmup_steps=12)
    train = TrainConfig(optimiser=optimiser, batch_s=8.0, crop_s=2.0, unmasked_weight=1.0)
    pretrain(RecipeConfig(model=MODEL, train=train, corpus=str(melodies), n_units=4), folder)
    return folder


def run(teacher, corpus, out_dir, *, plan="w1a1-encoder", n_steps=3, seed=0):
    return binarize(str(teacher), plan, str(corpus), out_dir, n_steps=n_steps, seed=seed)


def test_a_one_bit_model_learns_what_its_teacher_knows(teacher, melodies, tmp_path):
    before = run(teacher, melodies, tmp_path / "short", plan="w1a1", n_steps=1)
    after = run(teacher, melodies, tmp_path / "long", plan="w1a1", n_steps=120)
    assert after["valid_state_distance"] < 0.5 * before["valid_state_distance"]
    assert after["valid_unmasked_accuracy"] > 0.7


def test_batches_and_masks_are_those_of_the_pre_training(teacher, melodies, tmp_path):
    run(teacher, melodies, tmp_path, seed=3)
    origin = read_model_file(tmp_path / "model.safetensors").origin
    config: BinarizeConfig = from_dict(BinarizeConfig, origin["config"])
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


def test_a_model_without_its_units_is_refused(teacher, melodies, tmp_path):
    lonely = tmp_path / "a" / "b" / "c"
    lonely.mkdir(parents=True)
    (lonely / "model.safetensors").write_bytes((teacher / "model.safetensors").read_bytes())
    with pytest.raises(DataError, match="units that model.safetensors was trained on"):
        run(lonely, melodies, tmp_path / "out")


def test_a_preset_can_be_tried_before_anything_is_trained(melodies, tmp_path, monkeypatch):
    monkeypatch.setattr("earbit.quantize.verb.N_UNITS_OF_PRESETS", 4)
    result = run("sparseformer-dn-tiny", melodies, tmp_path, n_steps=1)
    assert "w1a1" in result["precisions"].values()


@pytest.mark.parametrize("change", ["teacher", "seed", "plan", "n_steps"])
def test_a_folder_of_another_run_is_refused(change, teacher, melodies, tmp_path):
    run(teacher, melodies, tmp_path / "out")
    changed = {"seed": {"seed": 2}, "plan": {"plan": "w1a1"}, "n_steps": {"n_steps": 4}}
    if change == "teacher":
        other = tmp_path / "other"
        recipe = read_model_file(teacher / "model.safetensors").origin["recipe"]
        config: RecipeConfig = from_dict(RecipeConfig, recipe)
        optimiser = dataclasses.replace(config.train.optimiser, n_steps=20)
        train = dataclasses.replace(config.train, optimiser=optimiser)
        pretrain(dataclasses.replace(config, train=train), other)
        teacher = other
    with pytest.raises(ConfigError, match=change):
        run(teacher, melodies, tmp_path / "out", **changed.get(change, {}))


def test_a_quantized_teacher_is_refused_before_anything_is_made(teacher, melodies, tmp_path):
    binarize(str(teacher), "w1a1", str(melodies), tmp_path / "once", n_steps=1, seed=0)
    with pytest.raises(ConfigError, match="quantized already"):
        binarize(str(tmp_path / "once"), "w1a1", str(melodies), tmp_path / "o", n_steps=1, seed=0)
    assert not (tmp_path / "o").exists()
