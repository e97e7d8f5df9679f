"""Further audio without labels, on which a fine-tuned network imitates its teacher."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from test_tuning_loss import CONFIG, batch, network_of
from tuning import same, tune

from earbit.audio import corpus
from earbit.audio.clips import clip_of
from earbit.audio.corpus import open_corpus
from earbit.errors import ConfigError, DataError
from earbit.finetune import loop
from earbit.finetune.network import ClipBatch, tuning_loss
from earbit.finetune.unlabelled import UnlabelledConfig, open_unlabelled

SIZES_S = (0.3, 0.5, 2.0)


@pytest.fixture
def audio(tmp_path):
    """Clips of three lengths in each part, whose samples have the sign of the part."""
    root, lines = tmp_path / "audio", []
    root.mkdir()
    for split, sign in {"train": 1, "valid": -1, "test": -1}.items():
        for size_s in SIZES_S:
            name = f"{split}-{size_s}.wav"
            wave = sign * np.linspace(0.1, 0.2, round(16_000 * size_s))
            soundfile.write(root / name, wave, 16_000, "FLOAT")
            lines.append({"path": name, "split": split})
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def opened(root, **changes):
    return open_unlabelled(UnlabelledConfig(corpus=str(root), **changes))


def crops(unlabelled, seed=0):
    return unlabelled.crops(torch.Generator().manual_seed(seed))


def test_crops_are_parts_of_training_clips_and_shorter_clips_are_whole(audio):
    found = crops(opened(audio, batch_size=100, crop_s=0.5))
    assert {len(crop) for crop in found} == {4_800, 8_000}
    assert all(bool((crop > 0).all()) for crop in found)
    long = {float(crop[0]) for crop in found if len(crop) == 8_000}
    assert len(long) > 20
    again, other = (crops(opened(audio, batch_size=100, crop_s=0.5), seed) for seed in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    assert any(a.shape != b.shape for a, b in zip(found, other, strict=True))


def test_clips_that_the_task_tests_on_are_left_out_wherever_they_are(audio, tmp_path):
    (tmp_path / "links").mkdir()
    for size_s in SIZES_S:
        (tmp_path / "links" / f"train-{size_s}.wav").symlink_to(audio / f"train-{size_s}.wav")
    held_out = [clip_of(cut) for cut in open_corpus(tmp_path / "links").cuts if "2.0" in cut.id]
    config = UnlabelledConfig(corpus=str(audio))
    assert [c.id for c in open_unlabelled(config).table] == [f"train-{s}.wav" for s in SIZES_S]
    kept = open_unlabelled(config, held_out).table
    assert [c.id for c in kept] == ["train-0.3.wav", "train-0.5.wav"]


def test_clips_that_cannot_be_decoded_are_left_out_and_named_once(audio, capsys):
    with_damage = opened(audio, batch_size=100)
    (audio / "train-0.5.wav").write_bytes(b"RIFF")
    assert {len(crop) for crop in crops(with_damage)} == {4_800, 16_000}
    assert capsys.readouterr().err.count("left out: ") == 1
    for path in audio.glob("train-*.wav"):
        path.write_bytes(b"RIFF")
    with pytest.raises(DataError, match="10 clips of .* in turn fail, the last: "):
        crops(with_damage)


def test_the_labels_of_other_clips_are_not_needed_and_their_states_are_compared():
    rng = np.random.default_rng(0)
    waves = [(0.1 * rng.standard_normal(n)).astype(np.float32) for n in (4_000, 7_000, 5_555)]
    goals = [torch.tensor([1]), torch.tensor([0])]
    student, teacher = network_of(0).train(), network_of(1)
    config = replace(CONFIG, labels=1.0, states=1.0, logits=1.0)
    slots = (("a", "b", "c"),)

    def parts(of):
        torch.manual_seed(0)
        return tuning_loss(student, teacher, of, "class", slots, config).parts

    both, alone = batch(waves, goals), batch(waves, goals)
    first = ClipBatch(alone.wave_BN[:2], alone.lengths[:2], goals, alone.mask_BT[:2])
    found, of_first = parts(both), parts(first)
    assert found["task_loss"] == pytest.approx(float(of_first["task_loss"]), rel=1e-5)
    for name in ("state_distance", "logit_distance"):
        assert abs(float(found[name]) - float(of_first[name])) > 1e-4


def test_a_killed_run_ends_with_the_same_bits(model, notes, tuned, audio, tmp_path, monkeypatch):
    changes = (f"unlabelled.corpus={audio}", "unlabelled.batch_size=3", "unlabelled.crop_s=0.25")
    options = {
        "changes": (*changes, "checkpoint_every_steps=2"),
        "plan": "w1a1",
        "teacher": str(tuned),
    }
    whole = tune(model, notes, tmp_path / "whole", **options)
    right, calls = loop.tuning_loss, []

    def dies(*arguments):
        calls.append(arguments[2])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return right(*arguments)

    monkeypatch.setattr(loop, "tuning_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        tune(model, notes, tmp_path / "cut", **options)
    assert tune(model, notes, tmp_path / "cut", **options) == whole
    assert all(len(of.lengths) == len(of.goals) + 3 for of in calls)
    without = tune(model, notes, tmp_path / "without", plan="w1a1", teacher=str(tuned))
    assert whole["unlabelled"]
    assert "unlabelled" not in without
    assert (tmp_path / "whole/log.jsonl").read_bytes() == (tmp_path / "cut/log.jsonl").read_bytes()
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut")]
    assert same(*weights)
    assert not same(weights[0], load_file(tmp_path / "without/model.safetensors"))


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        (("unlabelled.corpus=AUDIO",), ConfigError, "states=0 and logits=0.*give --teacher"),
        (("unlabelled.batch_size=0",), ConfigError, "batch_size=0; allowed"),
        (("unlabelled.batch_size=65536",), ConfigError, "batch_size=65536; allowed: .* < 65536"),
        (("unlabelled.batch_size=8",), ConfigError, "unlabelled.batch_size=8 without unlabelled.c"),
        (("unlabelled.crop_s=2",), ConfigError, "unlabelled.crop_s=2.0 without unlabelled.corpus"),
        (("unlabelled.crop_s=0.01",), ConfigError, "crop_s=0.01; allowed: 0.025 <="),
    ],
)
def test_what_does_not_fit_is_refused(model, notes, audio, tmp_path, changes, error, problem):
    changes = [change.replace("AUDIO", str(audio)) for change in changes]
    with pytest.raises(error, match=problem):
        tune(model, notes, tmp_path / "out", changes=changes)


def test_a_run_resumes_with_a_moved_corpus_and_not_with_another(
    model, notes, tuned, audio, tmp_path, monkeypatch
):
    def run(corpus):
        changes = (f"unlabelled.corpus={corpus}", "unlabelled.batch_size=2")
        options = {"teacher": str(tuned), "changes": (*changes, "checkpoint_every_steps=1")}
        return tune(model, notes, tmp_path / "out", n_steps=2, **options)

    right, calls = loop.tuning_loss, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return right(*arguments)

    monkeypatch.setattr(loop, "tuning_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        run(audio)
    moved, other = tmp_path / "moved", tmp_path / "other"
    audio.rename(moved)
    shutil.copytree(moved, other)
    soundfile.write(other / "train-2.0.wav", np.full(9_000, 0.1), 16_000, "FLOAT")
    with pytest.raises(ConfigError, match="out: holds .*other audio without labels"):
        run(other)
    assert run(moved)["config"]["unlabelled"]["corpus"] is None
    assert len(calls) == 3
    assert str(audio) not in (tmp_path / "out" / "config.json").read_text()


def test_clips_are_held_out_by_the_splits_that_are_drawn_without_damaged_clips(
    model, notes, tmp_path, monkeypatch
):
    right, given = corpus.load_waveform, []

    def loads(cut):
        if cut.id.startswith(("anna", "ben")):
            raise DataError("damaged")
        return right(cut)

    def opens(config, held_out):
        given.append({clip.id.partition("-")[0] for clip in held_out})

    monkeypatch.setattr(corpus, "load_waveform", loads)
    monkeypatch.setattr("earbit.finetune.verb.open_unlabelled", opens)
    tune(model, notes, tmp_path / "out", n_steps=1, resplit=True)
    before, after = given
    assert before == {"anna", "ben", "eve"}
    assert after - before
    assert not after & {"anna", "ben"}


def test_a_missing_corpus_is_refused(model, notes, tuned, tmp_path):
    changes = (f"unlabelled.corpus={tmp_path / 'none'}",)
    with pytest.raises((ConfigError, DataError), match="none"):
        tune(model, notes, tmp_path / "out", teacher=str(tuned), changes=changes)
    assert not (tmp_path / "out").exists()
