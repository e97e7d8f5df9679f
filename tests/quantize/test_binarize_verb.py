"""`earbit binarize` as a whole: the 1-bit model learns, from its teacher and on its units."""

import dataclasses
import json

import pytest
import torch

from earbit.config import from_dict
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError
from earbit.export.verb import export_model
from earbit.model import ModelConfig
from earbit.model_digest import weights_digest
from earbit.model_file import read_model_file
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.precision import Precision
from earbit.pretrain import loop
from earbit.pretrain.loop import TrainConfig
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.verb import pretrain
from earbit.quantize.calibrate import CalibrationConfig
from earbit.quantize.load import (
    load_model,
    noise_clips,
    quantized_copy,
    random_model,
    student_of,
)
from earbit.quantize.plan import PLANS, plan_named
from earbit.quantize.report import render
from earbit.quantize.stages import BinarizeConfig
from earbit.quantize.verb import binarize

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


def run(teacher, corpus, out_dir, *, plans=("w1a1-encoder",), n_steps=3, seed=0, settings=()):
    steps = n_steps if isinstance(n_steps, tuple) else (n_steps,)
    return binarize(
        str(teacher), plans, str(corpus), out_dir, n_steps=steps, seed=seed, settings=settings
    )


def test_a_one_bit_model_learns_what_its_teacher_knows(teacher, melodies, tmp_path):
    before = run(teacher, melodies, tmp_path / "short", plans=("w1a1",), n_steps=1)
    after = run(teacher, melodies, tmp_path / "long", plans=("w1a1",), n_steps=120)
    assert after["valid_state_distance"] < 0.5 * before["valid_state_distance"]
    assert after["valid_unmasked_accuracy"] > 0.7


def test_a_plan_of_a_later_stage_that_fits_nothing_is_found_before_any_is_trained(
    teacher, melodies, tmp_path
):
    for rules, message in [
        ({"encoder.layer.*": "w1a1"}, "matches no leaf"),
        ({"encoder.*": "fp32"}, "quantizes nothing"),
    ]:
        path = tmp_path / "mine.json"
        path.write_text(json.dumps(rules))
        with pytest.raises(ConfigError, match=message):
            run(teacher, melodies, tmp_path / "out", plans=("w1a1-encoder", str(path)))
        assert not list((tmp_path / "out").glob("**/model.safetensors"))


def test_the_folder_of_several_stages_lists_the_leaves_of_the_last(teacher, melodies, tmp_path):
    run(teacher, melodies, tmp_path, plans=("w1a2", "w1a1"), n_steps=1)
    listed = (tmp_path / "leaves.txt").read_text()
    assert listed == (tmp_path / "2-w1a1" / "leaves.txt").read_text()
    assert "w1a1" in listed


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
    assert listed[0].split() == ["leaf", "kind", "bits", "scales", "input"]
    n_quantized = sum("w1a1" in line for line in listed)
    assert leaves == f"{n_quantized} of {len(listed) - 1} leaves quantized, see OUT/leaves.txt"
    assert model.endswith("model.safetensors")


def test_a_front_end_with_a_path_without_bits_is_not_warned_about(melodies, tmp_path, capsys):
    run("hubert-tiny", melodies, tmp_path, n_steps=1)
    assert "learn little" not in capsys.readouterr().err


def test_plans_of_one_name_are_told_apart_or_refused(teacher, melodies, tmp_path):
    for folder, bits in (("a", "w1a1"), ("b", "w2a2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.json").write_text(json.dumps({"encoder.layers.*": bits}))
    both = tuple(str(tmp_path / folder / "mine.json") for folder in "ab")
    with pytest.raises(ConfigError, match="two of them are called 'mine' and differ"):
        run(teacher, melodies, tmp_path / "out", plans=both)
    (tmp_path / "w1a1.json").write_text('{"encoder.layers.*": "w2a2"}')
    with pytest.raises(ConfigError, match="a plan of earbit is called 'w1a1' already"):
        run(teacher, melodies, tmp_path / "out", plans=(str(tmp_path / "w1a1.json"),))


def test_a_run_that_fails_leaves_no_empty_folder(teacher, tmp_path):
    with pytest.raises(DataError):
        run(teacher, tmp_path / "no-such-corpus", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_preset_can_be_tried_before_anything_is_trained(melodies, tmp_path, monkeypatch):
    monkeypatch.setattr("earbit.quantize.verb.N_UNITS_OF_PRESETS", 4)
    result = run("sparseformer-dn-tiny", melodies, tmp_path, n_steps=1)
    assert "w1a1" in result["precisions"].values()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("teacher", "a run with another model to start from;"),
        ("seed", "a run with --seed 0, here --seed 2;"),
        ("plan", "a run with --plan w1a1-encoder, here --plan w1a1;"),
        ("n_steps", "a run with --n-steps 3, here --n-steps 4;"),
    ],
)
def test_a_folder_of_another_run_is_refused_in_words_of_the_command(
    change, told, teacher, melodies, tmp_path
):
    run(teacher, melodies, tmp_path / "out")
    changed = {"seed": {"seed": 2}, "plan": {"plans": ("w1a1",)}, "n_steps": {"n_steps": 4}}
    if change == "teacher":
        other = tmp_path / "other"
        recipe = read_model_file(teacher / "model.safetensors").origin["recipe"]
        config: RecipeConfig = from_dict(RecipeConfig, recipe)
        optimiser = dataclasses.replace(config.train.optimiser, n_steps=20)
        train = dataclasses.replace(config.train, optimiser=optimiser)
        pretrain(dataclasses.replace(config, train=train), other)
        teacher = other
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    with pytest.raises(ConfigError, match=told) as refusal:
        run(teacher, melodies, tmp_path / "out", **changed.get(change, {}))
    assert "delete" not in str(refusal.value)
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("first", "then"), [(("w1a1",), ("w1a2", "w1a1")), (("w1a2", "w1a1"), ("w1a1",))]
)
def test_a_run_of_one_stage_and_one_of_several_do_not_share_a_folder(
    first, then, teacher, melodies, tmp_path
):
    run(teacher, melodies, tmp_path / "out", plans=first, n_steps=1)
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    told = f"a run with --plan {' '.join(first)}, here --plan {' '.join(then)}"
    with pytest.raises(ConfigError, match=told):
        run(teacher, melodies, tmp_path / "out", plans=then, n_steps=1)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before


def test_folders_of_other_things_are_refused_before_any_audio_is_read(
    teacher, melodies, tmp_path, monkeypatch
):
    monkeypatch.setattr("earbit.quantize.verb.decoded_corpus", None)
    with pytest.raises(ConfigError, match=r"holds a pre-training.*give another --out") as refusal:
        run(teacher, melodies, teacher)
    assert "delete" not in str(refusal.value)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files \(notes.txt\)"):
        run(teacher, melodies, tmp_path)
    with pytest.raises(ConfigError, match=r"plan 'fp32' quantizes nothing"):
        run(teacher, melodies, tmp_path / "new", plans=("fp32",))
    with pytest.raises(ConfigError, match=r"n_steps=0; give at least 1"):
        run(teacher, melodies, tmp_path / "new", n_steps=0)
    assert not (tmp_path / "new").exists()


def test_every_stage_may_have_steps_of_its_own(teacher, melodies, tmp_path):
    result = run(teacher, melodies, tmp_path / "a", plans=("w1a2", "w1a1"), n_steps=(2, 3))
    assert [stage["n_steps"] for stage in result["stages"]] == [2, 3]
    for folder, n_steps in (("1-w1a2", 2), ("2-w1a1", 3)):
        names = {path.name for path in (tmp_path / "a" / folder / "checkpoints").iterdir()}
        assert max(names) == f"step-{n_steps:08d}"
    with pytest.raises(ConfigError, match="3 numbers for 2 plans"):
        run(teacher, melodies, tmp_path / "b", plans=("w1a2", "w1a1"), n_steps=(1, 2, 3))


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


def test_a_quantized_teacher_is_refused_before_anything_is_made(teacher, melodies, tmp_path):
    run(teacher, melodies, tmp_path / "once", n_steps=1)
    with pytest.raises(ConfigError, match="quantized already"):
        run(tmp_path / "once", melodies, tmp_path / "o", n_steps=1)
    assert not (tmp_path / "o").exists()


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


@pytest.mark.parametrize("killed_in", [1, 2], ids=["first stage", "second stage"])
def test_stages_that_were_cut_short_end_with_the_same_bits(
    killed_in, teacher, melodies, tmp_path, monkeypatch
):
    plans, settings = ("w1a2", "w1a1"), ("train.checkpoint_every_steps=2",)
    run(teacher, melodies, tmp_path / "whole", plans=plans, n_steps=4, settings=settings)
    n_calls = 0
    real_step = loop._step

    def dying_step(*args):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4 * (killed_in - 1) + 3:
            raise KeyboardInterrupt
        return real_step(*args)

    monkeypatch.setattr(loop, "_step", dying_step)
    with pytest.raises(KeyboardInterrupt):
        run(teacher, melodies, tmp_path / "cut", plans=plans, n_steps=4, settings=settings)
    monkeypatch.setattr(loop, "_step", real_step)
    run(teacher, melodies, tmp_path / "cut", plans=plans, n_steps=4, settings=settings)
    a, b = (read_model_file(tmp_path / d / "model.safetensors") for d in ("whole", "cut"))
    assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors)


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


def test_nothing_to_learn_from_is_refused(teacher, melodies, tmp_path):
    settings = [f"weights.{name}=0" for name in ("units", "states", "logits")]
    with pytest.raises(ConfigError, match="at least one weight"):
        run(teacher, melodies, tmp_path, settings=settings)


def test_a_plan_of_ones_own_is_a_file(teacher, melodies, tmp_path):
    plan = tmp_path / "mine.json"
    plan.write_text(json.dumps({"encoder.layers.*": "w1a1", "encoder.layers.*context": "w4a8"}))
    run(teacher, melodies, tmp_path / "out", plans=(str(plan),), n_steps=1)
    file = read_model_file(tmp_path / "out" / "model.safetensors")
    assert file.precisions["encoder.layers.0.attention.context"] == Precision(4, 8)
    assert file.origin["rules"] == {
        "encoder.layers.*": "w1a1",
        "encoder.layers.*context": "w4a8",
    }
    assert "encoder.layers.0.attention.context" in (tmp_path / "out" / "leaves.txt").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ('{"encoder.*": "w1b1"}', "w1b1.*write it as w1a8"),
        ('{"encoder.*": "w3a1"}', "weight of 3 bits; allowed are 1, 2, 4, 8, 32"),
        ('{"encoder.*": 1}', "'encoder.*': 1 is no rule; write a pattern and a precision"),
        ('["w1a1"]', "not a mapping"),
    ],
)
def test_a_plan_file_that_is_none_says_why(text, message, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        plan_named(str(path))
