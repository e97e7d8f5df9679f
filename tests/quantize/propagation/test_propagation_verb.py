"""`earbit propagation`: figures for programs and people, a picture, a line for wrong calls."""

import json
import re

import pytest

from earbit.cli.main import main
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.model_file import save_model
from earbit.nn.front_end import FrontEndConfig
from earbit.quantize.propagation import figure, verb
from earbit.quantize.propagation.coherence import Coherence, ControlledCoherence
from earbit.quantize.propagation.interaction import Comparison
from earbit.quantize.propagation.report import family_of
from earbit.quantize.propagation.stacks import Stack, pairs_of, why_not_compared
from earbit.quantize.propagation.tables import signed, verdict_of
from earbit.quantize.propagation.verb import errors_of_models
from earbit.quantize.student import noise_clips, quantized_copy

QUICK = {"is_noise": True, "n_clips": 1, "seconds": 0.4}
ALIKE = ("encoder.n_layers=2", "encoder.d_model=32", "encoder.d_ffn=64")
NAMES = ("conformer-tiny", "sparseformer-dn-tiny")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The folder, the text and the JSON of two encoders."""
    out = tmp_path_factory.mktemp("errors")
    text, found = errors_of_models(NAMES, settings=ALIKE, out_dir=out, **QUICK)
    return out, text, found


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of a full-precision model and of one that was made from it."""
    folder = tmp_path_factory.mktemp("models")
    encoder = TransformerConfig(n_layers=2, d_model=16, n_heads=2, d_ffn=32, position_kernel=8)
    teacher = random_model(ModelConfig(encoder=encoder, front_end=FrontEndConfig(n_channels=8)), 0)
    student = quantized_copy(teacher.eval(), "w1a1", noise_clips(0))
    for name, model in (("float", teacher), ("onebit", student)):
        (folder / name).mkdir()
        save_model(model, folder / name / "model.safetensors", {"plan": "w1a1"})
    return folder


def test_the_json_has_every_figure_and_is_strict(result):
    out, _, found = result
    text = (out / "propagation.json").read_text()
    assert not re.search(r"NaN|Infinity", text)
    assert json.loads(text) == found
    assert set(found) == {"audio", "clips", "seconds", "seed", "models", "comparisons"}
    mixed, plain = found["models"]
    assert (mixed["is_mixed"], plain["is_mixed"]) == (True, False)
    for one in found["models"]:
        assert set(one) == {
            "name", "plan", "teacher", "n_layers", "d_model", "is_mixed", "is_random", "modules",
            "states", "independent", "single", "interaction",
        }  # fmt: skip
        assert {m["level"] for m in one["modules"]} == {"leaf", "block", "layer"}
        for m in one["modules"]:
            assert set(m["alone"]) == {"sqnr_db", "noise_to_signal", "cosine"}
            assert set(m["accumulated"]) == set(m["alone"])
        assert all(len(states) == one["n_layers"] + 1 for states in one["states"].values())
    kinds = {"front end", "position", "attention", "feed-forward", "all in layers", "all"}
    assert kinds <= set(plain["states"])
    assert kinds | {"convolution", "attention + convolution"} <= set(mixed["states"])
    assert len(mixed["single"]) == 2 * 3


def test_the_mixed_stack_is_compared_with_attention_alone_of_its_shape(result):
    _, text, found = result
    (one,) = found["comparisons"]
    assert (one["mixed"], one["attention_only"], one["n_layers"], one["d_model"]) == (*NAMES, 2, 32)
    assert one["excess_db"] == pytest.approx(one["parts_db"] + one["within_db"] + one["between_db"])
    ours, theirs = (model["interaction"]["propagation_db"][-1] for model in found["models"])
    assert one["propagation_db"] == pytest.approx(ours - theirs)
    like = [model["interaction"]["coherence"] for model in found["models"]]
    assert [one["mixed_coherence"], one["attention_only_coherence"]] == like
    # The last table: c - c0 of both and their difference, between kinds and within; no verdict.
    row = [line for line in text.splitlines() if line.startswith(" over ".join(NAMES))][-1]
    expected = []
    for which in ("between", "within"):
        sides = [side["found"][which] - side["independent"][which] for side in like]
        assert one[f"coherence_{which}"] == pytest.approx(sides[0] - sides[1])
        expected += [*sides, sides[0] - sides[1]]
    assert row.split()[3:] == [*map(signed, expected), "-"]
    assert "random weights say nothing about the hypothesis" in text


@pytest.mark.parametrize(
    ("number", "within", "verdict"),
    [(0.2, 0.1, "for"), (0.2, 0.4, "-"), (0.05, 0.1, "-"), (-0.2, 0.1, "against"), (None, 0, "-")],
)
def test_a_verdict_needs_more_than_seeds_differ_by_and_more_between_than_within(
    number, within, verdict
):
    mixed = Coherence(everything=0.0, within=within, within_kind={}, between=0.3, pairs={})
    both = ControlledCoherence(mixed, mixed, mixed)
    figures = dict.fromkeys(("excess_db", "parts_db", "within_db", "between_db", "propagation_db"))
    one = Comparison(
        mixed="a", attention_only="b", n_layers=1, d_model=1, coherence_between=number,
        coherence_within=0.0, mixed_coherence=both, attention_only_coherence=both, **figures,
    )  # fmt: skip
    assert verdict_of(one) == verdict


def test_no_zero_is_negative():
    assert [*map(signed, (-0.001, 0.0, 0.006, -0.006, None))] == [
        "0.00", "0.00", "+0.01", "-0.01", "-",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("models_", "settings", "said"),
    [
        (
            ["conformer-tiny", "sparseformer-sw-tiny"],
            (),
            "conformer-tiny and sparseformer-sw-tiny differ in layers (",
        ),
        (["hubert-tiny", "sparseformer-sw-tiny"], ALIKE, "all have attention alone; add a mixed"),
        (["conformer-tiny", "squeezeformer-tiny"], (), "add one of attention alone"),
    ],
)
def test_what_keeps_models_from_being_compared_is_said_before_they_are_measured(
    models_, settings, said, monkeypatch, capsys
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(verb, "measure", stop)
    with pytest.raises(KeyboardInterrupt):
        errors_of_models(models_, settings=settings, **QUICK)
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def stack(name, **options):
    shape = {"plan": "w1a1", "is_mixed": False, "n_layers": 3, "d_model": 64, "is_random": False}
    return Stack(name=name, teacher=None, quantizes_layers=True, **(shape | options))


def test_models_that_compare_with_none_are_named_with_what_to_do():
    mixed, plain = stack("m", is_mixed=True), stack("p")
    assert why_not_compared([mixed, plain]) is why_not_compared([mixed]) is None
    wide = stack("w", d_model=96, plan="w1a2")
    assert why_not_compared([mixed, plain, wide]) == (
        "not compared: m and w differ in width (64 and 96), plan (w1a1 and w1a2); to compare them, "
        "pre-train them alike, --set model.encoder.n_layers=3 model.encoder.d_model=64 and "
        "quantize them under one plan (docs/errors.md)"
    )
    assert pairs_of([plain, wide, mixed]) == [(2, 0)]


def test_stacks_of_other_shapes_are_not_compared():
    text, found = errors_of_models(["conformer-tiny", "sparseformer-sw-tiny"], **QUICK)
    assert found["comparisons"] == []
    assert "not compared" in text


def test_a_run_that_fails_leaves_no_empty_folder_and_takes_nothing_away(tmp_path):
    new, old = tmp_path / "a" / "b", tmp_path / "old"
    old.mkdir()
    (old / "kept.txt").write_text("kept")
    for out in (new, old):
        with pytest.raises(DataError):
            errors_of_models(["hubert-tiny"], corpus=str(tmp_path / "none"), out_dir=out)
    assert [*tmp_path.iterdir()] == [old]
    assert (old / "kept.txt").read_text() == "kept"


def test_the_most_sensitive_layer_is_the_worst_of_the_json(result):
    _, text, found = result
    worst = min(found["models"][0]["single"], key=lambda one: one["last_state"]["sqnr_db"])
    assert (
        f"most sensitive: {worst['kind']} of layer {worst['layer']}; with it alone quantized, "
        f"the last state has {worst['last_state']['sqnr_db']:.1f} dB"
    ) in text
    assert text.startswith("1 clip of noise")


def test_the_table_says_what_the_json_says(result):
    _, text, found = result
    layers = found["models"][0]["states"]["all in layers"]
    row = next(line for line in text.splitlines() if line.startswith("all in layers"))
    assert row.split()[3:] == [
        "exact",
        *(f"{state['sqnr_db']:.1f}" for state in layers[1:]),
        f"{layers[-1]['cosine']:.4f}",
    ]


def test_the_picture_is_made_and_has_the_same_bytes_again(result, tmp_path):
    out, _, _ = result
    svg = (out / "propagation.svg").read_text()
    assert (out / "propagation.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in svg
    assert not re.search(r"20\d\d-\d\d-\d\d", svg)
    errors_of_models(NAMES, settings=ALIKE, out_dir=tmp_path, **QUICK)
    assert (tmp_path / "propagation.json").read_text() == (out / "propagation.json").read_text()
    assert (tmp_path / "propagation.svg").read_text() == svg


def test_a_picture_without_a_pair_has_no_panel_of_pairs(tmp_path, monkeypatch):
    panels = []
    monkeypatch.setattr(figure, "_bars", lambda _, comparisons: panels.append(len(comparisons)))
    errors_of_models(["conformer-tiny"], out_dir=tmp_path, **QUICK)
    assert panels == []
    errors_of_models(NAMES, settings=ALIKE, out_dir=tmp_path, **QUICK)
    assert panels == [1, 1]


def test_a_picture_of_one_leaf_can_be_drawn(tmp_path):
    plan = tmp_path / "position.json"
    plan.write_text('{"encoder.position.conv": "w1a1"}')
    errors_of_models(["hubert-tiny"], plan=str(plan), out_dir=tmp_path / "out", **QUICK)
    assert (tmp_path / "out" / "propagation.svg").stat().st_size > 10_000


def test_a_trained_model_is_compared_with_its_teacher(models):
    _, found = errors_of_models([str(models / "onebit")], teachers=[str(models / "float")], **QUICK)
    (one,) = found["models"]
    assert (one["plan"], one["teacher"]) == ("w1a1", str(models / "float"))
    assert all(state["noise_to_signal"] == 0 for state in one["states"]["not quantized"])
    assert one["states"]["all"][-1]["noise_to_signal"] > 0


def test_clips_come_from_a_corpus_and_others_give_the_scales(melodies):
    _, found = errors_of_models(["hubert-tiny"], corpus=str(melodies), n_clips=2, seconds=0.5)
    assert (found["clips"], found["seconds"], found["audio"]) == (2, 1.0, str(melodies))


@pytest.mark.parametrize(
    ("models_", "options", "named"),
    [
        ([], {}, "hubert-base"),
        (["hubert-tiny", "hubert-tiny"], {}, "once"),
        (["hubert-tiny"], {"plan": "w1a3"}, "'w1a3'"),
        (["hubert-tiny"], {"plan": "fp32"}, "plan 'fp32' quantizes nothing; "),
        (["hubert-bose"], {}, "'hubert-bose'"),
        (["hubert-tiny"], {"n_clips": 0}, "clips=0"),
        (["hubert-tiny"], {"seconds": 0.001}, "seconds=0.001"),
        (["hubert-tiny"], {"seconds": float("nan")}, "seconds=nan"),
        (["hubert-tiny"], {"corpus": "synthetic"}, "--noise and --corpus"),
        (["hubert-tiny"], {"teachers": ["hubert-tiny"]}, "a preset with --teacher"),
        (["hubert-tiny"], {"teachers": ["a"], "plan": "w1a1"}, "--plan w1a1 with --teacher"),
        (["hubert-tiny"], {"teachers": ["a", "b"]}, "1 models and 2 teachers"),
        (["hubert-tiny"], {"settings": ["encoder.n_layer=2"]}, "n_layers"),
        (["FOLDER/onebit"], {}, "--teacher"),
        (["FOLDER/float"], {"teachers": ["FOLDER/float"]}, "leave out --teacher"),
        (["FOLDER/onebit"], {"teachers": ["FOLDER/onebit"]}, "give a full-precision model"),
        (["FOLDER/onebit"], {"teachers": ["hubert-tiny"]}, "another architecture"),
        (["FOLDER/float"], {"settings": ["encoder.n_layers=2"]}, "--set encoder.n_layers=2"),
    ],
)
def test_what_does_not_go_together_is_explained(models, models_, options, named):
    def there(value):
        return [str(one).replace("FOLDER", str(models)) for one in value]

    options = {k: there(v) if isinstance(v, list) else v for k, v in options.items()}
    with pytest.raises(ConfigError, match=re.escape(named)):
        errors_of_models(there(models_), **(QUICK | options))


def test_the_command_prints_json_alone(capsys):
    main(
        ["propagation", "hubert-tiny", "--noise", "--clips", "1", "--seconds", "0.4", "--json", "-"]
    )
    found = json.loads(capsys.readouterr().out)
    assert found["models"][0]["name"] == "hubert-tiny"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("encoder.layers.11.attention.q_proj", ("encoder.layers.*.attention.q_proj", 11)),
        ("front_end.convs.6", ("front_end.convs.*", 6)),
        ("encoder.layers.3", ("encoder.layers.*", 3)),
        ("encoder.position.conv", ("encoder.position.conv", 0)),
    ],
)
def test_modules_of_one_name_are_a_row(name, family):
    assert family_of(name) == family
