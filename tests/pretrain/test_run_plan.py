"""`pretrain --dry-run`: figures by hand arithmetic, and nothing is written."""

import dataclasses
import json

import pytest
import torch

from earbit.cli.main import main
from earbit.encoders.transformer import TransformerConfig
from earbit.frames import n_frames_of
from earbit.model import AudioModel, ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.plan import _kept_for_backward, measure, plan_run, render_plan
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.train_config import TrainConfig

ENCODER = TransformerConfig(n_layers=1, d_model=32, n_heads=2, d_ffn=64, position_kernel=16)


def recipe(corpus, n_steps=3, **train) -> RecipeConfig:
    optimiser = OptimiserConfig(peak_lr=1e-3, n_steps=n_steps, warmup_steps=0)
    return RecipeConfig(
        model=ModelConfig(encoder=ENCODER, front_end=FrontEndConfig(n_channels=32)),
        train=TrainConfig(optimiser=optimiser, batch_s=8.0, crop_s=2.0, **train),
        corpus=str(corpus),
        n_units=4,
    )


def test_memory_steps_epochs_and_disk_follow_from_the_recipe(melodies):
    given = recipe(melodies, n_steps=50, accumulation=2, keep_checkpoints=3)
    plan = plan_run(dataclasses.replace(given, iterations=2), n_ranks=4)
    model = AudioModel(dataclasses.replace(given.model, n_units=given.n_units))
    state = 4 * sum(p.numel() for p in model.parameters())
    memory = plan["memory_bytes"]
    assert (memory["weights"], memory["gradients"], memory["optimiser"]) == (
        state,
        state,
        2 * state,
    )
    # Three kept, the best, and one that is being written, of weights and two moments; the model;
    # int16 units every 10 ms, then every 20 ms.
    audio_s = 3600 * (plan["train_hours_of_audio"] + plan["valid_hours_of_audio"])
    labels = round(2 * 100 * audio_s) + round(2 * 50 * audio_s)
    assert plan["disk_bytes"] == 2 * (5 * 3 * state + state) + labels
    assert plan["audio_per_update"].endswith("4 ranks x 2 micro-batches x 8 s = 64 s")
    assert plan["steps"] == [50, 50]
    assert 0 < plan["used_share_of_audio"] <= 1
    # All batches are full or hold what is left of the corpus.
    n_batches = 50 * 2 * 4 / plan["epochs"][0]
    assert n_batches >= plan["train_hours_of_audio"] * 3600 / 8.0
    assert f"{state // 4:,}" in render_plan(plan)
    assert "50 + 50 = 100" in render_plan(plan)


def test_sharding_divides_the_state_of_the_optimiser_alone(melodies):
    given = recipe(melodies)
    machine = dataclasses.replace(given.train.machine, sharding="fsdp")
    shared = dataclasses.replace(given, train=dataclasses.replace(given.train, machine=machine))
    one, four = (plan_run(r, n_ranks=4)["memory_bytes"] for r in (given, shared))
    assert four["optimiser"] == one["optimiser"] // 4
    assert {**four, "optimiser": 0} == {**one, "optimiser": 0}


def test_activations_are_those_that_the_backward_pass_needs():
    class Squares(torch.nn.Module):
        """Keeps its input, one storage of known size, for the gradient of a square."""

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

    given = recipe("synthetic")
    x = torch.ones(1000)
    squares = Squares()

    class Total:
        def __init__(self):
            self.total = ((x * squares.scale) ** 2).sum()

    # x for the product, and the product for its square; the parameter does not count.
    assert _kept_for_backward(squares, Total) == 2 * 4 * 1000
    measured = measure(
        AudioModel(dataclasses.replace(given.model, n_units=4)), given.train, row_s=1.0
    )
    # At least one float of the width for every frame and layer.
    assert measured["bytes_per_audio_s"] > 4 * 32 * n_frames_of(16_000)


def test_a_dry_run_writes_nothing_and_gives_json(melodies, tmp_path, capsys):
    out = tmp_path / "out"
    args = ["pretrain", "hubert-tiny", "--corpus", str(melodies), "--out", str(out)]
    main([*args, "--schedule", "paper", "--gpus", "8", "--dry-run", "--json", "-"])
    plan = json.loads(capsys.readouterr().out)
    assert plan["audio_per_update_s"] == pytest.approx(8 * 4 * 36.5)
    assert not out.exists()


def test_hours_count_training_and_validation(melodies):
    plan = plan_run(recipe(melodies, n_steps=50, validate_every_steps=20), n_ranks=1)
    seconds = 50 * plan["seconds_per_step"] + 3 * plan["seconds_per_validation"]
    assert plan["hours"][0] == pytest.approx(seconds / 3600)
    audio_s = 3600 * plan["valid_hours_of_audio"]
    assert 0 < plan["seconds_per_validation"] <= audio_s * plan["measured"]["s_per_audio_s"] / 3
