"""Both iterations in one command."""

import dataclasses
import json
import shutil

import pytest
import torch

from earbit.audio.clips import read_clip
from earbit.config import load
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError, Interrupted
from earbit.load import load_model
from earbit.model import ModelConfig
from earbit.model_digest import weights_digest
from earbit.model_file import read_model_file
from earbit.nn.front_end import FrontEndConfig
from earbit.pretrain.checkpoint import steps_done
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig, SecondConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.verb import pretrain
from earbit.units.kmeans import KMeans
from earbit.units.labelled import open_training_corpus
from earbit.units.labels import UnitLabels

MODEL = ModelConfig(
    encoder=TransformerConfig(n_layers=1, d_model=32, n_heads=2, d_ffn=64, position_kernel=16),
    front_end=FrontEndConfig(n_channels=32),
)


def recipe(corpus) -> RecipeConfig:
    optimiser = OptimiserConfig(peak_lr=4e-3, n_steps=3, warmup_steps=0)
    train = TrainConfig(optimiser=optimiser, batch_s=8.0, crop_s=2.0)
    return RecipeConfig(model=MODEL, train=train, corpus=str(corpus), n_units=4)


def two(corpus, **changes):
    """A recipe of two short iterations."""
    second = SecondConfig(n_units=5, layer=1, n_steps=2)
    return dataclasses.replace(recipe(corpus), iterations=2, second=second, **changes)


def test_the_second_iteration_trains_a_new_model_on_a_layer_of_the_first(melodies, tmp_path):
    result = pretrain(two(melodies), tmp_path)
    one, of_two, last = (
        read_model_file(tmp_path / name / "model.safetensors") for name in ("1", "2", "")
    )
    labels = UnitLabels.load(tmp_path / "2" / "units" / "labels.safetensors")
    first_model = load_model(tmp_path / "1")
    assert labels.header.model_digest == weights_digest(first_model)
    assert (labels.header.feature, labels.header.layer, labels.header.rate_hz) == ("hidden", 1, 50)
    assert (one.config.n_units, of_two.config.n_units) == (4, 5)
    assert last.tensors.keys() == of_two.tensors.keys()
    assert all((last.tensors[n] == of_two.tensors[n]).all() for n in last.tensors)
    assert of_two.origin["kmeans"] == labels.header.kmeans_digest
    assert of_two.origin["recipe"]["train"]["optimiser"]["n_steps"] == 2
    kmeans = KMeans.load(tmp_path / "2" / "units" / "kmeans.safetensors")
    data = open_training_corpus(str(melodies))
    clip = data.train[0]
    wave = torch.from_numpy(read_clip(clip))[None]
    with torch.inference_mode():
        states = first_model(wave).states
    assert labels.by_id[clip.id].tolist() == kmeans.assign(states[1][0].numpy()).tolist()
    assert set(result) >= {"model", "first", "valid_loss"}


def test_finished_iterations_are_not_computed_again(melodies, tmp_path):
    first = pretrain(two(melodies), tmp_path)
    shutil.rmtree(tmp_path / "2")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "1").rglob("*")}
    assert pretrain(two(melodies), tmp_path) == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "1").rglob("*")} == before
    with pytest.raises(ConfigError, match="a run with n_units=4, here n_units=6"):
        pretrain(dataclasses.replace(two(melodies), n_units=6), tmp_path)
    assert load(RecipeConfig, tmp_path / "config.json") == two(melodies)


def constant(corpus, n_steps, second_steps):
    """Two iterations whose learning rate stays the same, so that more steps can follow."""
    made = two(corpus)
    optimiser = dataclasses.replace(made.train.optimiser, n_steps=n_steps, decay_steps=0)
    train = dataclasses.replace(made.train, optimiser=optimiser)
    second = SecondConfig(n_units=5, layer=1, n_steps=second_steps)
    return dataclasses.replace(made, train=train, second=second)


def test_more_steps_follow_in_the_second_iteration_only(melodies, tmp_path, monkeypatch):
    pretrain(constant(melodies, 1, 1), tmp_path)
    first_model = (tmp_path / "1" / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="first model after 1 steps, here n_steps=2; only second"):
        pretrain(constant(melodies, 2, 1), tmp_path)
    assert (tmp_path / "1" / "model.safetensors").read_bytes() == first_model
    held = []

    def interrupted(*args, **kwargs):
        held.extend(path.name for path in tmp_path.iterdir())
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr("earbit.pretrain.verb.train", interrupted)
        with pytest.raises(Interrupted):
            pretrain(constant(melodies, 1, 2), tmp_path)
    # No result of one step beside the recipe of two.
    assert "config.json" in held
    assert "result.json" not in held
    result = pretrain(constant(melodies, 1, 2), tmp_path)
    assert steps_done(tmp_path / "2" / "checkpoints") == 2
    assert json.loads((tmp_path / "result.json").read_text()) == result
    other = dataclasses.replace(constant(melodies, 1, 2).second, layer="default")
    with pytest.raises(ConfigError, match=r"second.layer=1, here second.layer=default"):
        pretrain(dataclasses.replace(constant(melodies, 1, 2), second=other), tmp_path)


def test_a_second_iteration_that_cannot_run_is_refused_before_the_first(melodies, tmp_path):
    with pytest.raises(ConfigError, match="second.layer=2; allowed: 1 to 1, default, auto"):
        dataclasses.replace(two(melodies), second=SecondConfig(layer=2))
    with pytest.raises(ConfigError, match="n_steps=0; allowed: 1"):
        SecondConfig(n_steps=0)
    auto = dataclasses.replace(two(melodies), second=SecondConfig(n_units=5, layer="auto"))
    with pytest.raises(DataError, match="no training clip has phone_alignment"):
        pretrain(auto, tmp_path / "auto")
    warmup = SecondConfig(n_units=5, n_steps=2, warmup_steps=5)
    with pytest.raises(ConfigError, match="warmup_steps=5"):
        pretrain(dataclasses.replace(two(melodies), second=warmup), tmp_path / "warmup")
    assert not list(tmp_path.iterdir())


def test_a_run_of_one_iteration_is_not_taken_for_the_first_of_two(melodies, tmp_path):
    pretrain(recipe(melodies), tmp_path)
    with pytest.raises(ConfigError, match="holds a run of one iteration"):
        pretrain(two(melodies), tmp_path)
    pretrain(two(melodies), tmp_path / "two")
    with pytest.raises(ConfigError, match="holds a run of two iterations"):
        pretrain(recipe(melodies), tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "2")  # interrupted in the first iteration
    with pytest.raises(ConfigError, match="holds a run of two iterations"):
        pretrain(recipe(melodies), tmp_path / "two")
