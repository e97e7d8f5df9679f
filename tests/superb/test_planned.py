"""Scores of a model under a plan, and from its packed program."""

import json

import numpy as np
import pytest

from earbit.audio.decode import read_audio
from earbit.cost.profile import profile_model
from earbit.errors import ConfigError
from earbit.export.verb import export_model, export_scored
from earbit.load import load_model
from earbit.quantize.convert import precisions_of, quantized_leaves_of
from earbit.runtime.session import Session
from earbit.superb.verb import score_model
from earbit.superb.work import Settings
from earbit.upstream import planned, upstream

FEW = Settings(n_steps=30, lrs=(1e-2,))


def score(model, notes, out_dir, **options):
    data = (str(notes),)
    (found,) = score_model(str(model), ("ks",), data, out_dir, settings=FEW, seed=0, **options)
    return found


def test_a_plan_is_calibrated_on_training_clips_alone_and_recorded(notes, tmp_path, monkeypatch):
    heard, right = [], planned.audio_of

    def audio_of(corpus, ids, seed):
        heard.append(ids)
        return right(corpus, ids, seed)

    monkeypatch.setattr(planned, "audio_of", audio_of)
    found = score("hubert-tiny", notes, tmp_path / "out", plan="w8a8")
    assert [{clip[0] for clip in ids} for ids in heard] == [{"a", "b"}]
    for name in ("scores.json", "config.json"):
        written = json.loads((tmp_path / "out" / name).read_text())
        assert written.get("plan", written.get("superb", {}).get("plan")) == "w8a8"
    assert found["plan"] == "w8a8"
    leaves = quantized_leaves_of(load_model(tmp_path / "out"))
    assert {str(leaf.precision) for leaf in leaves.values()} == {"w8a8"}
    export_model(str(tmp_path / "out"), tmp_path / "p.safetensors", head=tmp_path / "out")
    with pytest.raises(ConfigError, match="a run with --plan w8a8, here --plan w1a1"):
        score("hubert-tiny", notes, tmp_path / "out", plan="w1a1")


def test_the_runtime_is_scored_on_its_own_features_and_the_head_is_one_of_the_model(
    notes, tmp_path, monkeypatch
):
    class Mute(Session):
        def run(self, waveform, layers="last"):
            return np.zeros_like(super().run(waveform, layers))

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(upstream, "Session", Mute)
        found = score("hubert-tiny", notes, out, export=export_scored)
    assert found["upstream"] == "runtime"
    assert found["value"] == pytest.approx(1 / 3)
    export_model("hubert-tiny", tmp_path / "p.safetensors", head=out)
    wave = read_audio(notes / "d-low.wav")
    with_head, without = Session(tmp_path / "p.safetensors"), Session(out / "program.safetensors")
    assert np.array_equal(with_head.run(wave), without.run(wave))


def test_a_program_is_in_the_runtime_already(notes, tmp_path):
    program = tmp_path / "p.safetensors"
    export_model("hubert-tiny", program)
    a = score(program, notes, tmp_path / "a")
    b = score(program, notes, tmp_path / "b", export=export_scored)
    assert a == b


@pytest.mark.parametrize("where", ["fbank", "features:x", "program"])
def test_what_is_no_model_in_pytorch_has_no_plan(notes, tmp_path, where):
    if where == "program":
        where = tmp_path / "p.safetensors"
        export_model("hubert-tiny", where)
    with pytest.raises(ConfigError, match="with --plan, which needs a model folder or a preset"):
        score(where, notes, tmp_path / "out", plan="w8a8")


def test_a_quantized_model_has_no_other_plan(notes, tmp_path):
    score("hubert-tiny", notes, tmp_path / "out", plan="w1a1")
    with pytest.raises(ConfigError, match="quantized already under w1a1; leave out --plan"):
        score(tmp_path / "out", notes, tmp_path / "other", plan="w8a8")
    assert not (tmp_path / "other").exists()


def test_the_size_of_a_model_is_that_of_its_cost_profile(notes, tmp_path):
    """Without the parameters of quantizers, and with one bit for a weight of one bit."""
    size = {}
    for plan in (None, "w1a1"):
        found = score("hubert-tiny", notes, tmp_path / str(plan), plan=plan)
        size[plan] = found["n_parameters"], found["n_bytes"]
    model = load_model(tmp_path / "w1a1")
    for plan, precisions in ((None, {}), ("w1a1", precisions_of(model))):
        profile = profile_model(model.config, precisions, name="", plan="", n_samples=16_000)
        assert size[plan][0] == pytest.approx(profile.total.parameters, rel=0.01)
        assert size[plan][1] == pytest.approx(profile.storage_bits / 8, rel=0.02)


def test_random_weights_in_the_shape_of_a_model_are_those_of_its_preset(notes, tmp_path):
    """A quantized model has the random weights of its float one."""
    score("hubert-tiny", notes, tmp_path / "quantized", plan="w8a8")
    own = score(f"random:{tmp_path / 'quantized'}", notes, tmp_path / "own")
    preset = score("hubert-tiny", notes, tmp_path / "preset")
    assert own["model_digest"] == preset["model_digest"]
    assert own["value"] == preset["value"]
    with pytest.raises(ConfigError, match="'nowhere' is neither a preset nor a model file"):
        score("random:nowhere", notes, tmp_path / "none")
