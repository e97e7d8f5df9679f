"""Fine-tuning on three notes: what is trained, resumed, exported and marked."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tuning import NOTES_HZ, same, tune

from earbit.audio.decode import read_audio
from earbit.cli.main import main
from earbit.errors import ConfigError, UnsupportedError
from earbit.export.verb import export_model, export_scored
from earbit.finetune import loop
from earbit.heads.head import HeadShape
from earbit.heads.linear import MeanPoolLinear
from earbit.heads.rejection import with_none, without_none
from earbit.load import load_model
from earbit.quantize.convert import quantized_leaves_of
from earbit.runtime.session import Session
from earbit.superb.head_file import load_head


def tensors_of(folder, name="model"):
    return load_file(folder / f"{name}.safetensors")


def test_a_frozen_encoder_keeps_every_bit_and_its_head_learns(model, notes, tmp_path):
    """Statistics of batch norm included."""
    before = tensors_of(model)
    tune(model, notes, tmp_path / "frozen", changes=("frozen_steps=6",))
    assert same(tensors_of(tmp_path / "frozen"), before)
    tune(model, notes, tmp_path / "thawed", changes=("frozen_steps=4",))
    thawed = tensors_of(tmp_path / "thawed")
    moved = {name for name in before if not torch.equal(before[name], thawed[name])}
    assert {"projection.weight", "encoder.layers.1.attention.q_proj.weight"} <= moved
    assert any("running_mean" in name for name in moved)
    heads = [tensors_of(tmp_path / name, "head") for name in ("frozen", "thawed")]
    assert not same(*heads)


@pytest.mark.parametrize("n_killed", [3, 5])
def test_a_killed_run_ends_with_the_same_bits(model, notes, tmp_path, monkeypatch, n_killed):
    options = {"changes": ("checkpoint_every_steps=2",), "plan": "w1a1"}
    whole = tune(model, notes, tmp_path / "whole", **options)
    right, calls = loop.tuning_loss, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == n_killed:
            raise KeyboardInterrupt
        return right(*arguments)

    monkeypatch.setattr(loop, "tuning_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        tune(model, notes, tmp_path / "cut", **options)
    resumed = tune(model, notes, tmp_path / "cut", **options)
    assert len(calls) == n_killed + 6 - (n_killed - 1) // 2 * 2
    assert whole == resumed
    for name in ("model.safetensors", "head.safetensors", "log.jsonl", "scores.json"):
        a, b = ((tmp_path / folder / name).read_bytes() for folder in ("whole", "cut"))
        assert a == b, name
    steps = [json.loads(line)["step"] for line in (tmp_path / "cut/log.jsonl").open()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_the_command_of_a_finished_run_returns_its_scores(model, notes, tmp_path, monkeypatch):
    found = tune(model, notes, tmp_path / "out")
    monkeypatch.setattr("earbit.finetune.verb.decoded_corpus", lambda *_: pytest.fail("decoded"))
    assert tune(model, notes, tmp_path / "out") == json.loads(json.dumps(found))
    # With the packed program, there is a score to compute.
    with pytest.raises(pytest.fail.Exception, match="decoded"):
        tune(model, notes, tmp_path / "out", export=export_scored)


def test_one_bit_learns_from_a_float_teacher_and_its_program_gives_the_same_labels(
    tuned, notes, tmp_path
):
    """Chance is 1/3.  Before training, the model under the plan does not know the notes."""
    out = tmp_path / "onebit"
    options = {"plan": "w1a1", "teacher": str(tuned), "export": export_scored}
    score = tune(tuned, notes, out, n_steps=40, **options)
    assert score["value"] == score["pytorch_value"] >= 5 / 6
    assert score["equal_to_pytorch"] == 1.0
    log = [json.loads(line) for line in (out / "log.jsonl").open()]
    for part in ("task_loss", "state_distance", "logit_distance"):
        assert log[-1][part] < log[0][part]
    assert quantized_leaves_of(load_model(out))
    program = tmp_path / "words.safetensors"
    export_model(str(out), program, head=out)
    for path in (program, out / "program.safetensors"):
        session = Session(path)
        assert session.labels == (*sorted(NOTES_HZ), "_none_")
        right = [
            session.label(read_audio(notes / f"fay-{word}-{i}.wav"), threshold=0) == word
            for word in NOTES_HZ
            for i in range(2)
        ]
        assert sum(right) / len(right) == score["value"]


def test_a_head_without_its_score_of_no_keyword_is_the_one_before_it_was_added():
    shape = HeadShape(n_states=3, width=16, n_outputs=3, d_hidden=8)
    head = MeanPoolLinear(shape)
    audio = (torch.randn(4, 8), torch.tensor([0, 1, 2, 3]))
    again = without_none(with_none(head, [audio]))
    assert again.shape == shape
    assert same(again.state_dict(), head.state_dict())


def test_a_model_that_is_quantized_stays_so_without_a_plan(tuned, notes, tmp_path):
    tune(tuned, notes, tmp_path / "a", n_steps=2, plan="w1a1")
    tune(tmp_path / "a", notes, tmp_path / "b", n_steps=2)
    tune(tmp_path / "a", notes, tmp_path / "c", n_steps=2, plan="w8a8")
    found = [quantized_leaves_of(load_model(tmp_path / name)) for name in "abc"]
    bits = [{str(leaf.precision) for leaf in leaves.values()} for leaves in found]
    assert bits[0] == bits[1] == {"w1a1"}
    assert bits[2] == {"w8a8"}


def test_a_plan_without_a_program_is_said_before_the_training(model, notes, tmp_path, capsys):
    (tmp_path / "half.yaml").write_text('"*": w1a32\n')
    tune(model, notes, tmp_path / "out", n_steps=1, plan=str(tmp_path / "half.yaml"))
    assert "the model can be trained and not exported: " in capsys.readouterr().err


def test_a_plan_without_a_program_is_refused_before_audio_is_read_if_one_is_requested(
    model, notes, tmp_path, monkeypatch
):
    monkeypatch.setattr("earbit.finetune.verb.decoded_corpus", lambda *_: pytest.fail("decoded"))
    (tmp_path / "half.yaml").write_text('"*": w1a32\n')
    options = {"plan": str(tmp_path / "half.yaml"), "export": export_scored}
    with pytest.raises(UnsupportedError, match="half.* with --upstream runtime: front_end.* audio"):
        tune(model, notes, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_clip_that_cannot_be_decoded_is_left_out_and_listed(model, notes, tmp_path):
    for path in notes.iterdir():
        kept = 2_000 if path.stem == "anna-low-0" else None
        (tmp_path / path.name).write_bytes(path.read_bytes()[:kept])
    score = tune(model, tmp_path, tmp_path / "out", n_steps=1)
    assert score["n_train"] == 23
    assert "anna-low-0.wav" in (tmp_path / "out" / "quarantine.jsonl").read_text()


def test_text_is_fine_tuned_without_masks_and_read_by_the_program(
    model, notes, tmp_path, monkeypatch
):
    monkeypatch.setattr("earbit.heads.recurrent.spec_augment", lambda *_: pytest.fail("masked"))
    score = tune(model, notes, tmp_path / "asr", task="asr", n_steps=2, export=export_scored)
    assert score["value"] == score["pytorch_value"]
    session = Session(tmp_path / "asr" / "program.safetensors")
    assert session.kind == "sequence"
    assert set(session.text(read_audio(notes / "fay-low-0.wav"))) <= set("HLM ")


def test_the_result_says_what_it_is(tuned):
    written = json.loads((tuned / "scores.json").read_text())
    assert written["finetuned"] is True
    assert written["protocol_name"] == "fine-tuned, not SUPERB"
    assert (written["plan"], written["distilled_from"]) == (None, None)
    assert written["model_digest"] == load_head(tuned).model_digest
    assert written["valid_value"] == load_head(tuned).point.value
    assert written["config"]["optimiser"]["n_steps"] == 40
    config = json.loads((tuned / "config.json").read_text())
    assert (config["type"], config["superb"]["tasks"]) == ("finetune", ["ks"])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"task": "qbe"}, "--task qbe with --finetune: it has no head"),
        ({"changes": ("states=1",)}, "states=1, logits=0 without a teacher; give --teacher"),
        ({"changes": ("labels=0",)}, "labels=0, logits=0, states=0.*nothing to train"),
        ({"changes": ("layer_decay=2",)}, "layer_decay=2.0; allowed: 0 < layer_decay <= 1"),
        ({"changes": ("frozen_steps=7",)}, "frozen_steps=7; allowed: 0 <= frozen_steps < 7"),
        ({"changes": ("max_s=0",)}, "max_s=0"),
        (
            {"task": "asr", "changes": ("max_s=3",)},
            "max_s=3 with asr; a part of a clip has",
        ),
        ({"plan": "w3a7"}, "unknown plan 'w3a7'"),
        ({"task": "asr", "teacher": "TUNED"}, "no fine-tuning on asr"),
        ({"teacher": "TUNED", "changes": ("d_hidden=8",)}, "widths .16, 16. are not .*16, 8"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_audio_is_read(
    model, notes, tuned, tmp_path, monkeypatch, options, problem
):
    monkeypatch.setattr("earbit.finetune.verb.decoded_corpus", lambda *_: pytest.fail("decoded"))
    options = {key: str(tuned) if value == "TUNED" else value for key, value in options.items()}
    with pytest.raises(ConfigError, match=problem):
        tune(model, notes, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_every_field_of_the_command_may_be_set(capsys, notes, tmp_path):
    command = ["superb", "hubert-tiny", "--finetune", "--data", str(notes)]
    with pytest.raises(SystemExit):
        main([*command, "--out", str(tmp_path / "out"), "--set", "device=cuda:x"])
    assert "device='cuda:x'" in capsys.readouterr().err


def test_texts_that_are_longer_than_their_clips_are_counted(model, notes, tmp_path, capsys):
    """Clips of 0.13 to 0.22 s have 6 to 10 frames; the words of one speaker get 12 symbols."""
    for path in notes.glob("*.wav"):
        (tmp_path / path.name).symlink_to(path)
    records = [json.loads(line) for line in (notes / "manifest.jsonl").open()]
    for record in records:
        record["text"] *= 12 if record["speaker"] == "anna" else 1
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, records)))
    tune(model, tmp_path, tmp_path / "out", task="asr", n_steps=1)
    said = capsys.readouterr().err
    assert "6 of 24 training clips have fewer frames than their text needs" in said


@pytest.mark.parametrize("where", ["fbank", "features:x"])
def test_only_models_are_fine_tuned(notes, tmp_path, where):
    with pytest.raises(ConfigError, match=f"{where} with --finetune, which needs a model folder"):
        tune(where, notes, tmp_path)


def test_a_teacher_that_was_not_fine_tuned_is_refused(model, notes, tmp_path):
    with pytest.raises(ConfigError, match="no fine-tuning on ks; make one with"):
        tune(model, notes, tmp_path / "out", teacher=str(model))


def test_a_place_without_a_teacher_names_where_one_is(model, notes, tuned, tmp_path):
    several = tmp_path / "several"
    several.mkdir()
    for where, cure in (
        (tmp_path / "severl", "no model there; near names there: several; make one with `earbit"),
        (several, "no model there; make one with `earbit"),
        (several, f"no model there; give {several / 'ks'}"),
    ):
        with pytest.raises(ConfigError, match=f"--teacher {where}: {cure}"):
            tune(model, notes, tmp_path / "out", teacher=str(where))
        if where == several:
            (several / "ks").mkdir(exist_ok=True)
            (several / "ks" / "model.safetensors").touch()


def test_a_teacher_of_other_outputs_is_refused(model, notes, tuned, tmp_path):
    lines = (notes / "manifest.jsonl").read_text().replace('"mid"', '"middle"').splitlines()
    for path in notes.glob("*.wav"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="its outputs .3.*give a fine-tuning of such a model"):
        tune(model, tmp_path, tmp_path / "out", teacher=str(tuned))


def test_another_run_in_the_folder_is_refused_by_its_option(model, notes, tuned, tmp_path):
    out = tmp_path / "out"
    score = tune(model, notes, out, n_steps=1)
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="out: holds a run with --n-steps 1, here --n-steps 2"):
        tune(model, notes, out, n_steps=2)
    with pytest.raises(ConfigError, match="--plan w1a1"):
        tune(model, notes, out, n_steps=1, plan="w1a1")
    with pytest.raises(ConfigError, match="a run with another model"):
        tune(tuned, notes, out, n_steps=1)
    assert tune(model, notes, out, n_steps=1) == json.loads(json.dumps(score))
    assert (out / "model.safetensors").read_bytes() == before


def test_a_teacher_of_other_splits_is_said(model, notes, tuned, tmp_path, capsys):
    tune(model, notes, tmp_path / "same", teacher=str(tuned), n_steps=1)
    assert "trained on another corpus" not in capsys.readouterr().err
    tune(model, notes, tmp_path / "other", teacher=str(tuned), n_steps=1, resplit=True)
    assert "trained on another corpus or other splits" in capsys.readouterr().err


def test_another_seed_gives_other_masks_and_dropout(model, notes, tmp_path, monkeypatch):
    """torch's generator for CPUs uses 32 bits of a seed."""
    right, given = loop.batch_of, []

    def kept(examples, clips, config, generator):
        given[-1].append(generator.initial_seed() % 2**32)
        return right(examples, clips, config, generator)

    monkeypatch.setattr(loop, "batch_of", kept)
    for seed in (1, 2):
        given.append([])
        tune(model, notes, tmp_path / str(seed), n_steps=3, seed=seed)
    assert not set(given[0]) & set(given[1])
