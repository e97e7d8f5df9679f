"""`earbit propagation`: figures for programs and for people, a figure, refusals in one line."""

import json
import re
import shutil

import pytest

from earbit.cli.main import main
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.model_file import save_model
from earbit.nn.front_end import FrontEndConfig
from earbit.quantize.propagation import verb
from earbit.quantize.propagation.verb import errors_of_models
from earbit.quantize.student import noise_clips, quantized_copy

QUICK = {"is_noise": True, "n_clips": 1, "seconds": 0.4}
ALIKE = ("encoder.n_layers=2", "encoder.d_model=32", "encoder.d_ffn=64")
NAMES = ("conformer-tiny", "sparseformer-dn-tiny")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The folder, the text and the JSON of two encoders."""
    out = tmp_path_factory.mktemp("propagation")
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
    assert set(found) == {
        "audio", "clips", "clips_asked", "calibration", "seconds", "seed", "models", "comparisons",
    }  # fmt: skip
    mixed, plain = found["models"]
    assert (mixed["is_mixed"], plain["is_mixed"]) == (True, False)
    for one in found["models"]:
        assert set(one) == {
            "name", "plan", "teacher", "n_layers", "d_model", "is_mixed", "modules", "states",
            "single", "interaction",
        }  # fmt: skip
        for m in one["modules"]:
            assert set(m) == {"name", "role", "layer", "precision", "alone", "accumulated"}
            assert set(m["alone"]) == set(m["accumulated"]) == {"sqnr_db", "noise_to_signal"}
        assert all(len(states) == one["n_layers"] + 1 for states in one["states"].values())
        assert set(one["interaction"]) == {
            "log_error", "alone", "between", "within", "pairs", "roles",
        }  # fmt: skip
    keys = {"front_end", "position", "attention", "feed_forward", "attention+feed_forward"}
    assert set(plain["states"]) == keys | {"layers", "all"}
    assert set(mixed["states"]) == set(plain["states"]) | {
        "convolution", "attention+convolution", "convolution+feed_forward",
    }  # fmt: skip
    assert {(one["role"], one["layer"]) for one in mixed["single"]} == {
        (role, layer) for role in ("attention", "convolution", "feed_forward") for layer in (0, 1)
    }
    exact = next(m for m in plain["modules"] if m["name"] == "front_end.convs.0")
    assert exact["accumulated"] == {"sqnr_db": None, "noise_to_signal": 0.0}
    assert (exact["role"], exact["layer"], exact["precision"]) == ("front_end", 0, "w32a32")


def test_the_mixed_encoder_is_compared_with_attention_only_of_its_shape(result):
    _, text, found = result
    (one,) = found["comparisons"]
    assert (one["mixed"], one["attention_only"]) == NAMES
    assert one["excess_db"] == pytest.approx(one["alone_db"] + one["within_db"] + one["between_db"])
    ours, theirs = (model["interaction"] for model in found["models"])
    assert one["net_between_db"] == pytest.approx(
        ours["between"]["net_db"] - theirs["between"]["net_db"]
    )
    for which in ("between", "within"):
        net = [side[which]["coherence"] - side[which]["noise_coherence"] for side in (ours, theirs)]
        assert one[f"net_coherence_{which}"] == pytest.approx(net[0] - net[1])
    row = next(line for line in text.splitlines() if line.startswith(" over ".join(NAMES)))
    figures = [value for value in one.values() if not isinstance(value, str)]
    assert [float(cell) for cell in row.split()[3:]] == [
        pytest.approx(value, abs=0.0051) for value in figures
    ]
    assert "random weights do not test the hypothesis" in text


@pytest.mark.parametrize(
    ("models_", "settings", "said"),
    [
        (
            ["conformer-tiny", "sparseformer-sw-tiny"],
            (),
            "not compared: conformer-tiny (3 x 64), sparseformer-sw-tiny (2 x 96); ",
        ),
        (["hubert-tiny", "sparseformer-sw-tiny"], ALIKE, "give a mixed encoder and an attention"),
        (
            ["conformer-tiny", "hubert-tiny", "sparseformer-dn-tiny"],
            ("encoder.d_model=96",),
            "not compared: sparseformer-dn-tiny (4 x 96); ",
        ),
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


def test_encoders_of_other_shapes_are_measured_and_not_compared():
    text, found = errors_of_models(["conformer-tiny", "sparseformer-sw-tiny"], **QUICK)
    assert found["comparisons"] == []
    assert [one["name"] for one in found["models"]] == ["conformer-tiny", "sparseformer-sw-tiny"]
    assert " over " not in text.replace("together over sum", "")


def test_a_run_that_fails_leaves_no_empty_folder_and_takes_nothing_away(tmp_path):
    new, old = tmp_path / "a" / "b", tmp_path / "old"
    old.mkdir()
    (old / "kept.txt").write_text("kept")
    for out in (new, old):
        with pytest.raises(DataError):
            errors_of_models(["hubert-tiny"], corpus=str(tmp_path / "none"), out_dir=out)
    assert [*tmp_path.iterdir()] == [old]
    assert (old / "kept.txt").read_text() == "kept"


def test_the_table_agrees_with_the_json(result):
    _, text, found = result
    (plain,) = (one for one in found["models"] if not one["is_mixed"])
    _, after = text.split(f"{NAMES[1]}, w1a1")
    row = next(line for line in after.splitlines() if line.startswith("all in layers"))
    states = plain["states"]["layers"]
    expected = [f"{states[i]['sqnr_db']:.1f}" for i in (1, -1)]
    assert row.split()[3:6] == ["inf", *expected]
    assert [float(cell) for cell in row.split()[6:]] == [
        pytest.approx(value, abs=0.0051) for value in plain["interaction"]["between"].values()
    ]
    assert text.startswith("clips: 1 of noise, 0.4 s")
    assert "-0.0 " not in text
    assert "-0.00" not in text


def test_the_figure_is_drawn_and_has_the_same_bytes_again(result, tmp_path):
    out, _, _ = result
    svg = (out / "propagation.svg").read_text()
    assert (out / "propagation.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in svg
    assert not re.search(r"20\d\d-\d\d-\d\d", svg)
    errors_of_models(NAMES, settings=ALIKE, out_dir=tmp_path, **QUICK)
    for name in ("propagation.json", "propagation.svg"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_a_figure_of_one_leaf_can_be_drawn(tmp_path):
    plan = tmp_path / "position.json"
    plan.write_text('{"encoder.position.conv": "w1a1"}')
    _, found = errors_of_models(["hubert-tiny"], plan=str(plan), out_dir=tmp_path / "out", **QUICK)
    assert (tmp_path / "out" / "propagation.svg").stat().st_size > 10_000
    (one,) = found["models"]
    assert set(one["states"]) == {"position", "all"}
    assert one["interaction"]["between"]["db"] is one["interaction"]["between"]["coherence"] is None


def test_a_trained_model_is_compared_with_its_teacher(models):
    _, found = errors_of_models([str(models / "onebit")], teachers=[str(models / "float")], **QUICK)
    (one,) = found["models"]
    assert (one["plan"], one["teacher"]) == ("w1a1", str(models / "float"))
    assert found["calibration"] is None
    assert one["states"]["all"][-1]["noise_to_signal"] > 0


def test_clips_come_from_a_corpus_and_others_give_the_scales(melodies):
    _, found = errors_of_models(["hubert-tiny"], corpus=str(melodies), n_clips=2, seconds=0.5)
    assert (found["clips"], found["seconds"], found["audio"]) == (2, 1.0, str(melodies))
    assert found["calibration"] == {"clips": 2, "on_measured_clips": False}


@pytest.mark.parametrize(
    ("n_clips", "calibration", "said"),
    [
        (1, {"clips": 1, "on_measured_clips": False}, []),
        (2, {"clips": 1, "on_measured_clips": False}, ["calibrates on 1"]),
        (3, {"clips": 3, "on_measured_clips": True}, ["calibrates on the measured clips"]),
        (
            4,
            {"clips": 3, "on_measured_clips": True},
            ["3 usable clips, --clips 4; measures on 3", "calibrates on the measured clips"],
        ),
    ],
)
def test_too_few_clips_are_said_and_recorded(
    n_clips, calibration, said, melodies, tmp_path, capsys
):
    for path in sorted(melodies.glob("*.wav"))[:3]:
        shutil.copy(path, tmp_path)
    _, found = errors_of_models(["hubert-tiny"], corpus=str(tmp_path), n_clips=n_clips, seconds=0.1)
    assert (found["clips"], found["clips_asked"]) == (min(n_clips, 3), n_clips)
    assert found["calibration"] == calibration
    lines = [line for line in capsys.readouterr().err.splitlines() if str(tmp_path) in line]
    assert len(lines) == len(said)
    assert all(text in line for text, line in zip(said, lines, strict=True))


@pytest.mark.parametrize(
    ("models_", "options", "named"),
    [
        ([], {}, "hubert-base"),
        (["hubert-tiny"], {"plan": "w1a3"}, "'w1a3'"),
        (["hubert-tiny"], {"plan": "fp32"}, "plan 'fp32' quantizes nothing; "),
        (["hubert-bose"], {}, "'hubert-bose'"),
        (["hubert-tiny"], {"n_clips": 0}, "clips=0"),
        (["hubert-tiny"], {"seconds": 0.001}, "seconds=0.001"),
        (["hubert-tiny"], {"seconds": float("nan")}, "seconds=nan"),
        (["hubert-tiny"], {"corpus": "synthetic"}, "--noise and --corpus"),
        (["hubert-tiny"], {"teachers": ["hubert-tiny"]}, "leave out --teacher"),
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


def test_a_model_given_twice_is_measured_once(models, capsys, monkeypatch):
    measured = []
    right = verb.measure

    def counted(teacher, *arguments, **options):
        measured.append(teacher)
        return right(teacher, *arguments, **options)

    monkeypatch.setattr(verb, "measure", counted)
    folder = str(models / "float")
    file = f"{folder}/../float/model.safetensors"
    _, found = errors_of_models([folder, file], **QUICK)
    assert [one["name"] for one in found["models"]] == [folder]
    assert f"{file}: given twice; it is taken once, as {folder}" in capsys.readouterr().err
    trained = str(models / "onebit")
    _, found = errors_of_models([trained, trained], teachers=[folder, folder], **QUICK)
    assert [one["name"] for one in found["models"]] == [trained]
    assert len(measured) == 2
