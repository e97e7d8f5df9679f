"""`earbit quantize` refuses what it cannot do before it trains, and leaves what is there alone."""

import dataclasses
import json
import shutil

import pytest
from quantize_runs import run

from earbit.config import from_dict
from earbit.errors import ConfigError, DataError, UnsupportedError
from earbit.model_file import read_model_file
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.verb import pretrain
from earbit.quantize.plan import plan_named


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


def test_a_plan_whose_rules_have_another_order_is_another_run(teacher, melodies, tmp_path):
    plan, out = tmp_path / "mine.json", tmp_path / "out"
    rules = {"attention": "w1a1", "attention layers=0": "w1a2"}
    plan.write_text(json.dumps(rules))
    run(teacher, melodies, out, plans=(str(plan),), n_steps=1)
    before = (out / "model.safetensors").read_bytes()
    plan.write_text(json.dumps(dict(reversed(rules.items()))))
    told = r"\(rule 1 is 'attention: w1a1', here 'attention layers=0: w1a2'\); give another --out"
    with pytest.raises(ConfigError, match=told):
        run(teacher, melodies, out, plans=(str(plan),), n_steps=1)
    assert (out / "model.safetensors").read_bytes() == before


def test_a_run_whose_rules_were_saved_as_a_mapping_resumes(teacher, melodies, tmp_path, capsys):
    plan, out = tmp_path / "mine.json", tmp_path / "out"
    rules = {"attention": "w1a1", "attention layers=0": "w1a2"}
    plan.write_text(json.dumps(rules))
    run(teacher, melodies, out, plans=(str(plan),), n_steps=1)
    for path in out.glob("1-mine/checkpoints/*/state.json"):
        state = json.loads(path.read_text())
        assert state["run"]["rules"] == [*map(list, rules.items())]
        state["run"]["rules"] = rules
        path.write_text(json.dumps(state))
    run(teacher, melodies, out, plans=(str(plan),), n_steps=1)
    assert "mine, is done already" in capsys.readouterr().err


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
    monkeypatch.setattr("earbit.quantize.verb.open_training_corpus", None)
    with pytest.raises(ConfigError, match=r"holds a pre-training.*give another --out") as refusal:
        run(teacher, melodies, teacher)
    assert "delete" not in str(refusal.value)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files \(notes.txt\)"):
        run(teacher, melodies, tmp_path)
    with pytest.raises(ConfigError, match=r"plan 'fp32' quantizes nothing"):
        run(teacher, melodies, tmp_path / "new", plans=("fp32",))
    with pytest.raises(ConfigError, match=r"n_steps=0; allowed: 1 or more"):
        run(teacher, melodies, tmp_path / "new", n_steps=0)
    assert not (tmp_path / "new").exists()


def test_a_device_that_is_not_there_is_refused_before_any_audio_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("earbit.quantize.verb.open_training_corpus", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UnsupportedError, match=r"device 'cuda': .*; use --device cpu, or auto"):
        run("hubert-tiny", "x", tmp_path / "new", settings=["train.machine.device=cuda"])
    assert not (tmp_path / "new").exists()


def test_a_quantized_teacher_is_refused_before_anything_is_made(teacher, melodies, tmp_path):
    run(teacher, melodies, tmp_path / "once", n_steps=1)
    with pytest.raises(ConfigError, match="quantized already"):
        run(tmp_path / "once", melodies, tmp_path / "o", n_steps=1)
    assert not (tmp_path / "o").exists()


def test_nothing_to_learn_from_is_refused(teacher, melodies, tmp_path):
    settings = [f"weights.{name}=0" for name in ("units", "states", "logits")]
    with pytest.raises(ConfigError, match="allowed: one or more weights above 0"):
        run(teacher, melodies, tmp_path, settings=settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ('{"encoder.*": "w1b1"}', "w1b1.*write it as w1a8"),
        ('{"encoder.*": "w3a1"}', "weight of 3 bits; allowed: 1, 2, 4, 8, 32"),
        ('{"encoder.*": 1}', "'encoder.*': 1 is not a rule; write a selector and a precision"),
        ('["w1a1"]', "not a mapping"),
    ],
)
def test_a_plan_file_that_is_none_says_why(text, message, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        plan_named(str(path))


def test_resplit_serves_a_corpus_of_test_clips_and_belongs_to_the_run(teacher, melodies, tmp_path):
    root = tmp_path / "corpus"
    shutil.copytree(melodies, root)
    lines = [
        json.dumps({"path": path.name, "split": "test"}) + "\n" for path in sorted(root.iterdir())
    ]
    (root / "manifest.jsonl").write_text("".join(lines))
    with pytest.raises(DataError, match="all 24 clips have `split: test`; .* --resplit"):
        run(teacher, root, tmp_path / "out")
    run(teacher, root, tmp_path / "out", resplit=True)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["resplit"] is True
    with pytest.raises(ConfigError, match="a run with --resplit, here no --resplit"):
        run(teacher, root, tmp_path / "out")


def test_advice_about_units_comes_after_the_corpus_has_been_opened(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no usable audio"):
        run("hubert-tiny", tmp_path / "empty", tmp_path / "out")
    assert capsys.readouterr().err == ""
