"""`earbit quantize` in stages: plan by plan, each from where the last one ended."""

import dataclasses

import pytest
import torch
from quantize_runs import MODEL, run

from earbit.config import override
from earbit.errors import ConfigError
from earbit.load import load_model, random_model
from earbit.model_digest import weights_digest
from earbit.model_file import read_model_file
from earbit.nn.precision import Precision
from earbit.pretrain.update import Update
from earbit.quantize.report import render
from earbit.quantize.stages import stages_of
from earbit.quantize.train import STATES_ALONE
from earbit.quantize.verb import default_config


def test_the_folder_of_several_stages_lists_the_leaves_of_the_last(teacher, melodies, tmp_path):
    run(teacher, melodies, tmp_path, plans=("w1a2", "w1a1"), n_steps=1)
    listed = (tmp_path / "leaves.txt").read_text()
    assert listed == (tmp_path / "2-w1a1" / "leaves.txt").read_text()
    assert "w1a1" in listed


def test_a_run_says_what_it_does_and_what_came_out(teacher, melodies, tmp_path, capsys):
    arguments = {"plans": ("w1a2", "w1a1"), "n_steps": (2, 3)}
    result = run(teacher, melodies, tmp_path, **arguments)
    said = capsys.readouterr().err
    assert "learn little in a front end without batch norm and shortcuts" in said
    assert "stage 1 of 2: w1a2, 2 steps" in said
    assert "stage 2 of 2: w1a1, 3 steps" in said
    run(teacher, melodies, tmp_path, **arguments)
    assert "stage 2 of 2: w1a1, is done already" in capsys.readouterr().err
    *table, leaves, model = render(result, "OUT").splitlines()
    assert [line.split("  ")[0].strip() for line in table[1:]] == [
        "teacher",
        "1-w1a2, 2 steps",
        "2-w1a1, 3 steps",
    ]
    listed = (tmp_path / "leaves.txt").read_text().splitlines()
    assert listed[0].split() == ["leaf", "role", "kind", "bits", "scales", "input"]
    n_quantized = sum("w1a1" in line for line in listed)
    assert leaves == f"{n_quantized} of {len(listed) - 1} leaves quantized, see OUT/leaves.txt"
    assert model.endswith("model.safetensors")


def test_every_stage_may_have_steps_of_its_own(teacher, melodies, tmp_path):
    result = run(teacher, melodies, tmp_path / "a", plans=("w1a2", "w1a1"), n_steps=(2, 3))
    assert [stage["n_steps"] for stage in result["stages"]] == [2, 3]
    for folder, n_steps in (("1-w1a2", 2), ("2-w1a1", 3)):
        names = {path.name for path in (tmp_path / "a" / folder / "checkpoints").iterdir()}
        assert max(names) == f"step-{n_steps:08d}"
    with pytest.raises(ConfigError, match="3 numbers for 2 plans"):
        run(teacher, melodies, tmp_path / "b", plans=("w1a2", "w1a1"), n_steps=(1, 2, 3))


def test_steps_below_the_default_warm_up_can_be_set(teacher, melodies, tmp_path):
    settings = ["train.optimiser.n_steps=1"]
    result = run(teacher, melodies, tmp_path, n_steps=300, settings=settings)  # warm-up of 30
    assert [stage["n_steps"] for stage in result["stages"]] == [1]


def test_the_warm_up_of_a_stage_is_the_same_fraction_in_whole_steps():
    for warmup_steps in range(100):
        settings = [f"train.optimiser.warmup_steps={warmup_steps}"]
        config = override(default_config(("w1a2", "w1a1"), (100, 50), 0), settings)
        stages = [config.training_of(i).optimiser for i in range(2)]
        assert [s.warmup_steps for s in stages] == [warmup_steps, warmup_steps // 2]


def test_a_folder_that_is_no_stage_is_left_alone(tmp_path):
    for name in ("1a-foo", "1-", "notes-1"):
        (tmp_path / name).mkdir()
    model = random_model(MODEL, 0)
    config = dataclasses.replace(default_config(("w1a1",), (1,), 0), weights=STATES_ALONE)
    (stage,) = stages_of(config, model, tmp_path, has_units=False)
    assert stage.folder == tmp_path / "1-w1a1"


def test_every_stage_starts_where_the_last_one_ended_and_learns_from_it(
    teacher, melodies, tmp_path
):
    result = run(teacher, melodies, tmp_path, plans=("w1a2", "w1a1"), n_steps=2)
    assert [stage["plan"] for stage in result["stages"]] == ["w1a2", "w1a1"]
    first, second = (
        read_model_file(tmp_path / name / "model.safetensors") for name in ("1-w1a2", "2-w1a1")
    )
    final = read_model_file(tmp_path / "model.safetensors")
    assert all(torch.equal(final.tensors[n], t) for n, t in second.tensors.items())
    assert first.precisions["encoder.layers.0.attention.scores"] == Precision(2, 2)
    assert second.precisions["encoder.layers.0.attention.scores"] == Precision(1, 1)
    student = load_model(tmp_path / "1-w1a2")
    assert second.origin["teacher"] == weights_digest(student)


@pytest.mark.parametrize("killed_in", [1, 2], ids=["first stage", "second stage"])
def test_stages_that_were_cut_short_end_with_the_same_bits(
    killed_in, teacher, melodies, tmp_path, monkeypatch
):
    plans, settings = ("w1a2", "w1a1"), ("train.checkpoint_every_steps=2",)
    run(teacher, melodies, tmp_path / "whole", plans=plans, n_steps=4, settings=settings)
    n_calls = 0
    real_step = Update.__call__

    def dying_step(*args):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4 * (killed_in - 1) + 3:
            raise KeyboardInterrupt
        return real_step(*args)

    monkeypatch.setattr(Update, "__call__", dying_step)
    with pytest.raises(KeyboardInterrupt):
        run(teacher, melodies, tmp_path / "cut", plans=plans, n_steps=4, settings=settings)
    monkeypatch.setattr(Update, "__call__", real_step)
    run(teacher, melodies, tmp_path / "cut", plans=plans, n_steps=4, settings=settings)
    a, b = (read_model_file(tmp_path / d / "model.safetensors") for d in ("whole", "cut"))
    assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors)
