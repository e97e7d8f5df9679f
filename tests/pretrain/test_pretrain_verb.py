"""`earbit pretrain` as a whole: it learns, and never gives one run's result for another's."""

import dataclasses
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file

from earbit.cli.main import main
from earbit.config import override, save
from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.sparseformer import SparseformerConfig, WindowConfig
from earbit.encoders.squeezeformer import SqueezeformerConfig
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError, UnsupportedError
from earbit.model import ModelConfig
from earbit.model_file import read_model_file
from earbit.nn.front_end import FrontEndConfig
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig, preset_recipe
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.verb import _description, pretrain
from earbit.units.discover import UnitConfig
from earbit.units.labels import UnitLabels
from earbit.units.verb import units

SHAPE = {"n_layers": 1, "d_model": 32, "n_heads": 2, "d_ffn": 64, "position_kernel": 16}
ENCODERS = {
    "transformer": TransformerConfig(**SHAPE, layer_drop=0.0),
    "sparseformer": SparseformerConfig(**SHAPE, layer_drop=0.0, pattern=WindowConfig(frames=8)),
    "conformer": ConformerConfig(**SHAPE, layer_drop=0.0, conv_kernel=7),
    "squeezeformer": SqueezeformerConfig(
        **SHAPE | {"n_layers": 2},
        layer_drop=0.0,
        conv_kernel=7,
        reduce_before=0,
        recover_before=1,
    ),
}


def recipe(corpus, encoder="transformer", n_steps=3, **train) -> RecipeConfig:
    optimiser = OptimiserConfig(peak_lr=4e-3, n_steps=n_steps, warmup_steps=n_steps // 10)
    return RecipeConfig(
        model=ModelConfig(encoder=ENCODERS[encoder], front_end=FrontEndConfig(n_channels=32)),
        train=TrainConfig(optimiser=optimiser, batch_s=8.0, crop_s=2.0, **train),
        corpus=str(corpus),
        n_units=4,
    )


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_training_learns_what_a_frame_sounds_like(encoder, melodies, tmp_path):
    figures = pretrain(recipe(melodies, encoder, n_steps=60, unmasked_weight=1.0), tmp_path)
    units = json.loads((tmp_path / "units" / "units.json").read_text())
    commonest = max(units["histogram"]) / sum(units["histogram"])
    assert commonest < 0.5
    assert figures["valid_unmasked_accuracy"] > 0.85


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 5}, "seed"),
        ({"n_units": 5}, "a run with n_units=4, here n_units=5"),
    ],
)
def test_a_folder_of_another_run_is_refused_and_kept(change, named, melodies, tmp_path):
    pretrain(recipe(melodies), tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(ConfigError, match=named):
        pretrain(dataclasses.replace(recipe(melodies), **change), tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_finished_run_started_again_opens_no_audio(melodies, tmp_path, monkeypatch, capsys):
    first = pretrain(recipe(melodies), tmp_path)

    def opened(*args, **kwargs):
        raise AssertionError("the corpus was opened")

    monkeypatch.setattr("earbit.pretrain.verb.open_training_corpus", opened)
    assert pretrain(recipe(melodies), tmp_path) == first
    assert "the run is finished after 3 steps" in capsys.readouterr().err


def with_constant_rate(corpus, n_steps: int) -> RecipeConfig:
    given = recipe(corpus, n_steps=n_steps, checkpoint_every_steps=2, log_every_steps=1)
    optimiser = OptimiserConfig(peak_lr=4e-3, n_steps=n_steps, warmup_steps=1, decay_steps=0)
    return dataclasses.replace(given, train=dataclasses.replace(given.train, optimiser=optimiser))


def test_a_finished_run_with_a_constant_rate_is_extended_to_the_bits_of_a_longer_run(
    melodies, tmp_path
):
    pretrain(with_constant_rate(melodies, 3), tmp_path / "extended")
    pretrain(with_constant_rate(melodies, 5), tmp_path / "extended")
    pretrain(with_constant_rate(melodies, 5), tmp_path / "whole")
    extended, whole = (
        load_file(tmp_path / name / "model.safetensors") for name in ("extended", "whole")
    )
    assert extended.keys() == whole.keys()
    assert all(np.array_equal(extended[name], whole[name]) for name in whole)


def test_a_finished_run_that_has_decayed_is_not_extended_and_says_what_to_do(melodies, tmp_path):
    pretrain(recipe(melodies), tmp_path)
    with pytest.raises(ConfigError, match=r"n_steps=3, here .*n_steps=5.*decay_steps=0"):
        pretrain(recipe(melodies, n_steps=5), tmp_path)


def test_the_first_weights_belong_to_the_description_of_a_run(melodies, tmp_path):
    pretrain(recipe(melodies), tmp_path)
    # The same units, so that only the weights' seed differs.
    units = tmp_path / "units" / "units.json"
    units.write_text(json.dumps(json.loads(units.read_text()) | {"seed": 5}))
    with pytest.raises(ConfigError, match="a run with seed=0, here seed=5"):
        pretrain(dataclasses.replace(recipe(melodies), seed=5), tmp_path)


def test_a_model_file_knows_its_recipe_and_its_units(melodies, tmp_path):
    pretrain(recipe(melodies), tmp_path)
    origin = read_model_file(tmp_path / "model.safetensors").origin
    units = json.loads((tmp_path / "units" / "units.json").read_text())
    assert origin["labels"] == units["labels_digest"]
    assert origin["kmeans"] == units["kmeans_digest"]
    assert origin["corpus"] == units["corpus_digest"]
    assert origin["recipe"]["train"]["optimiser"]["n_steps"] == 3


def test_a_run_that_is_killed_at_any_time_ends_with_the_same_bits(melodies, tmp_path):
    config = recipe(melodies, n_steps=8, checkpoint_every_steps=1)
    save(config, tmp_path / "recipe.json")
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "earbit", "pretrain", str(tmp_path / "recipe.json")]
    process = subprocess.Popen([*command, "--out", str(killed)], stderr=subprocess.DEVNULL)
    while not list(killed.glob("checkpoints/step-*")) and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert process.returncode == -9, "it was done before it could be killed"
    assert not (killed / "model.safetensors").exists()
    for name in ("killed", "whole"):  # in processes of their own: torch's threads decide sums
        subprocess.run([*command, "--out", str(tmp_path / name)], check=True, capture_output=True)
    models = [load_file(tmp_path / d / "model.safetensors") for d in ("killed", "whole")]
    assert all((models[0][name] == models[1][name]).all() for name in models[1])


def test_units_that_were_found_before_are_taken_as_they_are(melodies, tmp_path):
    units(str(melodies), tmp_path / "units", UnitConfig(n_units=7, seed=5))
    given = dataclasses.replace(recipe(melodies), units=str(tmp_path / "units"))
    pretrain(given, tmp_path / "run")
    model = read_model_file(tmp_path / "run" / "model.safetensors")
    assert model.config.n_units == 7
    for name in ("labels.safetensors", "kmeans.safetensors"):
        copied = (tmp_path / "run" / "units" / name).read_bytes()
        assert copied == (tmp_path / "units" / name).read_bytes()


def test_units_that_are_not_there_or_differ_from_those_of_the_run_are_refused(melodies, tmp_path):
    with pytest.raises(DataError, match="no labels.safetensors"):
        pretrain(dataclasses.replace(recipe(melodies), units=str(tmp_path)), tmp_path / "run")
    pretrain(recipe(melodies), tmp_path / "run")
    units(str(melodies), tmp_path / "units", UnitConfig(n_units=7, seed=5))
    given = dataclasses.replace(recipe(melodies), units=str(tmp_path / "units"))
    with pytest.raises(ConfigError, match="units=null.*here units="):
        pretrain(given, tmp_path / "run")


def never_decodes(*_, **__):
    pytest.fail("audio was decoded")


def with_manifest(melodies, root, **labels):
    """The melodies with a manifest that has these labels in every line."""
    shutil.copytree(melodies, root)
    lines = [json.dumps({"path": path.name, **labels}) + "\n" for path in sorted(root.iterdir())]
    (root / "manifest.jsonl").write_text("".join(lines))
    return root


def test_a_corpus_of_test_clips_alone_is_refused_before_it_is_decoded(
    melodies, tmp_path, monkeypatch
):
    root = with_manifest(melodies, tmp_path / "corpus", split="test")
    monkeypatch.setattr("earbit.units.labelled.read_clip", never_decodes)
    with pytest.raises(DataError, match="all 24 clips have `split: test`; .* --resplit ignores"):
        pretrain(recipe(root), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_not_read_is_said_before_training(melodies, tmp_path, capsys):
    root = tmp_path / "corpus"
    shutil.copytree(melodies, root)
    (root / "a.m4a").write_bytes(b"x")
    pretrain(recipe(root), tmp_path / "run")
    assert "1 .m4a file not read; convert with: " in capsys.readouterr().err


def test_resplit_trains_on_a_corpus_of_test_clips_and_belongs_to_the_description_of_the_run(
    melodies, tmp_path
):
    root = with_manifest(melodies, tmp_path / "corpus", split="test")
    anew = dataclasses.replace(recipe(root), resplit=True)
    pretrain(anew, tmp_path / "run")
    origin = read_model_file(tmp_path / "run" / "model.safetensors").origin
    assert origin["recipe"]["resplit"] is True
    (root / "manifest.jsonl").unlink()
    with pytest.raises(ConfigError, match="a run with resplit=true, here resplit=false"):
        pretrain(recipe(root), tmp_path / "run")


def test_units_found_without_resplit_do_not_serve_a_run_with_it(melodies, tmp_path):
    root = with_manifest(melodies, tmp_path / "corpus", split="train")
    units(str(root), tmp_path / "units", UnitConfig(n_units=4))
    anew = dataclasses.replace(recipe(root), resplit=True, units=str(tmp_path / "units"))
    with pytest.raises(DataError, match="labels belong to corpus .*--resplit where the run has it"):
        pretrain(anew, tmp_path / "run")


def test_a_silent_corpus_is_refused_before_training(tmp_path):
    root = tmp_path / "silence"
    root.mkdir()
    for i in range(4):
        soundfile.write(root / f"{i}.wav", np.zeros((16_000, 2)), 16_000)
    with pytest.raises(DataError, match="1 of 4 units found"):
        pretrain(recipe(root), tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.safetensors"))


def test_given_units_of_which_some_are_dead_are_refused(melodies, tmp_path):
    units(str(melodies), tmp_path / "units", UnitConfig(n_units=4))
    labels = UnitLabels.load(tmp_path / "units" / "labels.safetensors")
    constant = {name: np.zeros_like(row) for name, row in labels.by_id.items()}
    dataclasses.replace(labels, by_id=constant).save(tmp_path / "units" / "labels.safetensors")
    given = dataclasses.replace(recipe(melodies), units=str(tmp_path / "units"))
    with pytest.raises(DataError, match="1 of 4 units found"):
        pretrain(given, tmp_path / "run")


def test_the_command_prints_text_on_a_terminal_and_json_elsewhere(
    melodies, tmp_path, capsys, monkeypatch
):
    save(recipe(melodies, n_steps=1), tmp_path / "recipe.json")
    args = ["pretrain", str(tmp_path / "recipe.json"), "--out", str(tmp_path / "out")]
    main(args)
    result = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main([*args, "--json", str(tmp_path / "result.json")])
    figures, where = capsys.readouterr().out.splitlines()
    assert f"loss {result['valid_loss']:.4g}" in figures
    assert where == f"the model is {result['model']}"
    assert json.loads((tmp_path / "result.json").read_text()) == result


def test_a_field_of_a_later_version_at_its_default_is_no_part_of_a_run_description():
    recipe = preset_recipe("hubert-tiny")
    described = _description(recipe, None)["recipe"]["train"]
    changed = override(recipe, ["train.augment.noise=0.5"])
    assert "augment" not in described
    assert _description(changed, None)["recipe"]["train"]["augment"]["noise"] == 0.5


def test_tensorboard_that_is_missing_is_refused_before_units_are_computed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    recipe = override(preset_recipe("hubert-tiny"), ["train.tensorboard=true"])
    with pytest.raises(UnsupportedError, match="tensorboard"):
        pretrain(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_resumes_from_a_corpus_that_has_moved(melodies, tmp_path, capsys):
    corpus = tmp_path / "here"
    shutil.copytree(melodies, corpus)
    first = pretrain(recipe(corpus), tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()  # something is left to do
    corpus.rename(tmp_path / "there")
    again = pretrain(recipe(tmp_path / "there"), tmp_path / "run")
    assert again == first


def test_a_run_is_not_resumed_with_another_corpus_in_another_place(melodies, tmp_path):
    pretrain(recipe(melodies), tmp_path / "run")
    other = tmp_path / "other"
    shutil.copytree(melodies, other)
    next(other.glob("*.wav")).unlink()
    with pytest.raises(ConfigError, match="a run with another corpus"):
        pretrain(recipe(other), tmp_path / "run")
