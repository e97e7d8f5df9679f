"""A head in a program says what PyTorch's head says; a head of another model is refused by name."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from earbit.errors import ConfigError, DataError, FormatError, UnsupportedError
from earbit.export import head as head_module
from earbit.export.head import head_of
from earbit.export.prepared_model import model_of
from earbit.export.rendered import rendered_program
from earbit.export.verb import export_model, export_to
from earbit.heads.table import HEADS
from earbit.load import random_model
from earbit.model_file import save_model
from earbit.presets import preset
from earbit.quantize.student import noise_clips
from earbit.runtime import Session
from earbit.superb.head_file import load_head, save_head
from earbit.superb.ks import KS
from earbit.superb.tasks import TASKS
from random_heads import LABELS, head_for

AUDIO = noise_clips(5, n_clips=1)[0]


def torch_scores(model, module, audio):
    with torch.no_grad():
        states = torch.stack(list(model.eval()(torch.from_numpy(audio)[None]).states))
        return module(states, torch.tensor([states.shape[2]]))[0].numpy()


@pytest.mark.parametrize("name", ["hubert-tiny", "squeezeformer-tiny", "sparseformer-dn-tiny"])
@pytest.mark.parametrize("n_samples", [400, 5000, 32_000])
def test_scores_in_float_are_those_of_pytorch_at_any_length(name, n_samples, tmp_path):
    model = model_of(name, plan=None, seed=0)
    module = head_for(model, tmp_path / "ks")
    result = export_model(name, tmp_path / "p.safetensors", head=tmp_path / "ks")
    assert result["head"]["label"] == result["head"]["torch_label"]
    session = Session(tmp_path / "p.safetensors")
    assert session.labels == LABELS
    expected = torch_scores(model, module, AUDIO[:n_samples])
    assert np.ptp(expected) > 0.1, "no score stands out"
    assert np.abs(session.scores(AUDIO[:n_samples]) - expected).max() < 1e-4 * np.ptp(expected)
    assert session.label(AUDIO[:n_samples]) == LABELS[expected.argmax()]


def test_scores_in_one_bit_are_those_of_pytorch_on_the_hidden_states_of_the_program(tmp_path):
    model = model_of("hubert-tiny", plan="w1a1", seed=0)
    module = head_for(model, tmp_path)
    head = head_of(model, tmp_path, name="hubert-tiny")
    path = tmp_path / "p.safetensors"
    agreement = export_to(model, path, name="t", waveform=AUDIO, head=head)["head"]
    session = Session(path)
    states = torch.from_numpy(session.run(AUDIO, layers="all"))[:, None]
    with torch.no_grad():
        expected = module(states, torch.tensor([states.shape[2]]))[0].numpy()
    assert np.abs(session.scores(AUDIO) - expected).max() < 1e-4 * np.ptp(expected)
    assert agreement["label"] == session.label(AUDIO)
    apart = np.abs(session.scores(AUDIO) - torch_scores(model, module, AUDIO)).max()
    assert agreement["max_abs_error"] == pytest.approx(apart)


def test_features_of_a_program_with_a_head_are_those_without(tmp_path):
    head_for(model_of("hubert-tiny", plan=None, seed=0), tmp_path / "ks")
    with_head, without = tmp_path / "with.safetensors", tmp_path / "without.safetensors"
    export_model("hubert-tiny", with_head, head=tmp_path / "ks")
    assert "head" not in export_model("hubert-tiny", without)
    for layers in ("last", "all"):
        features = [Session(path).run(AUDIO, layers) for path in (with_head, without)]
        assert np.array_equal(*features)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"n_states": 7}, r"for 7 hidden states x 96, hubert-tiny has 4 x 96; train one on this"),
        ({"width": 32}, "for 4 hidden states x 32, hubert-tiny has 4 x 96"),
        ({"digest": "0" * 64}, "other weights than hubert-tiny.*earbit superb hubert-tiny"),
        ({"digest": ""}, "its model is not recorded.*earbit superb hubert-tiny"),
        ({"labels": ("a", "b\n")}, r"label 'b\\n'; a program holds labels of 1 to 256 bytes"),
        ({"labels": ("a", "ä" * 129)}, "label 'ä.*256 bytes"),
        ({"labels": ("a", "")}, "label ''"),
    ],
    ids=str,
)
def test_a_head_that_is_not_of_this_model_is_refused_by_name(tmp_path, changes, match):
    head_for(model_of("hubert-tiny", plan=None, seed=0), tmp_path / "ks", **changes)
    with pytest.raises(ConfigError, match=match) as error:
        export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path / "ks")
    assert str(tmp_path / "ks" / "head.safetensors") in str(error.value)
    assert not (tmp_path / "p.safetensors").exists()


@pytest.mark.parametrize("options", [{"plan": "w1a1"}, {"seed": 1}], ids=str)
def test_a_plan_or_a_seed_makes_another_model_of_it(tmp_path, options):
    head_for(model_of("hubert-tiny", plan=None, seed=0), tmp_path / "ks")
    with pytest.raises(ConfigError, match="another model"):
        export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path / "ks", **options)


def test_a_folder_without_a_head_is_refused_before_anything_is_packed(tmp_path):
    with pytest.raises(FormatError, match="folder of `earbit superb` or `import`"):
        export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path / "nothing")


@pytest.mark.parametrize("plan", [None, "w1a1"])
def test_the_text_of_a_sequence_head_is_that_of_pytorch(tmp_path, monkeypatch, plan):
    say = replace(KS, name="say", label="text", kind="sequence", head="frame_linear")
    monkeypatch.setitem(TASKS, "say", say)
    model = model_of("hubert-tiny", plan=plan, seed=0)
    module = head_for(model, tmp_path, task=say, labels=("<blank>", " ", "a", "b ", "ä"))
    path = tmp_path / "p.safetensors"
    result = export_model("hubert-tiny", path, plan=plan, head=tmp_path)["head"]
    session = Session(path)
    assert session.kind == result["kind"] == "sequence"
    states = torch.from_numpy(session.run(AUDIO, layers="all"))[:, None]
    with torch.no_grad():
        expected = module(states, torch.tensor([states.shape[2]]))[0].numpy()
    scores = session.scores(AUDIO)
    assert scores.shape == (session.run(AUDIO).shape[0], 5)
    assert np.abs(scores - expected).max() < 1e-4 * np.ptp(expected)
    text, before = "", 0
    for symbol in expected.argmax(1):
        text += session.labels[symbol] if symbol and symbol != before else ""
        before = symbol
    assert text.strip()
    assert session.text(AUDIO) == text.strip()
    if plan is None:
        assert result["label"] == result["torch_label"]


def test_a_head_that_no_op_computes_is_refused_by_its_name(tmp_path, monkeypatch):
    head_for(model_of("hubert-tiny", plan=None, seed=0), tmp_path)
    monkeypatch.delitem(head_module.LOWERINGS, HEADS[KS.head])
    with pytest.raises(UnsupportedError, match="a MeanPoolLinear; .* packed: FrameLinear"):
        export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path)


def test_of_several_slots_the_likeliest_label_of_each_is_that_of_pytorch(tmp_path):
    slots = (("dim", "raise"), ("heat", "light", "ä b"))
    labels = tuple(label for slot in slots for label in slot)
    model = model_of("hubert-tiny", plan=None, seed=0)
    module = head_for(model, tmp_path, labels=labels)
    save_head(tmp_path / "head.safetensors", replace(load_head(tmp_path), slots=slots))
    result = export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path)["head"]
    session = Session(tmp_path / "p.safetensors")
    expected = torch_scores(model, module, AUDIO)
    wanted = (slots[0][expected[:2].argmax()], slots[1][expected[2:].argmax()])
    assert session.slot_labels(AUDIO) == wanted
    assert result["label"] == result["torch_label"] == ", ".join(wanted)
    assert session.labels == labels
    with pytest.raises(ConfigError, match="2 slots; call `slot_labels`"):
        session.label(AUDIO)


@pytest.mark.parametrize("name", ["asr", "asv", "sd", "pr"])
@pytest.mark.parametrize("n_samples", [5_000, 32_000])
def test_scores_of_every_trained_kind_are_those_of_pytorch_at_any_length(tmp_path, name, n_samples):
    model = model_of("hubert-tiny", plan=None, seed=0)
    module = head_for(model, tmp_path, task=TASKS[name], labels=("x", "y", "z", "w"), d_hidden=24)
    result = export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path)["head"]
    session = Session(tmp_path / "p.safetensors")
    assert session.kind == result["kind"] == TASKS[name].kind
    audio = AUDIO[:n_samples]
    expected = torch_scores(model, module.eval(), audio)
    got = session.scores(audio)
    assert got.shape == expected.shape
    assert np.ptp(expected) > 0.01, "no score stands out"
    assert np.abs(got - expected).max() < 1e-4 * (1 + np.abs(expected).max())


def test_audio_of_fewer_frames_than_an_x_vector_sees_is_a_fault_of_the_data(tmp_path):
    head_for(model_of("hubert-tiny", plan=None, seed=0), tmp_path, task=TASKS["asv"], d_hidden=24)
    export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path)
    session = Session(tmp_path / "p.safetensors")
    # 15 frames of 320 samples, of which the last has 400.
    assert np.isfinite(session.embedding(AUDIO[: 14 * 320 + 400])).all()
    for n_samples in (400, 14 * 320 + 399):
        with pytest.raises(DataError, match=f"audio of {n_samples} .* at least 4880 "):
            session.embedding(AUDIO[:n_samples])


def test_the_embedding_of_a_program_is_the_direction_of_that_of_pytorch(tmp_path):
    model = model_of("hubert-tiny", plan=None, seed=0)
    module = head_for(model, tmp_path, task=TASKS["asv"], d_hidden=24)
    export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path)
    expected = torch_scores(model, module.eval(), AUDIO)
    got = Session(tmp_path / "p.safetensors").embedding(AUDIO)
    assert got @ expected / np.linalg.norm(expected) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(got) == pytest.approx(1, abs=1e-5)


def test_segments_of_a_program_are_those_of_pytorch(tmp_path):
    model = model_of("hubert-tiny", plan=None, seed=0)
    labels = ("speaker 1", "speaker 2")
    module = head_for(model, tmp_path, task=TASKS["sd"], labels=labels, d_hidden=24)
    export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path)
    session = Session(tmp_path / "p.safetensors")
    odds_TS = torch_scores(model, module.eval(), AUDIO)
    threshold = float(1 / (1 + np.exp(-np.median(odds_TS))))
    is_active_TS = odds_TS > np.median(odds_TS)
    found = session.segments(AUDIO, threshold=threshold, window=1)
    assert found
    got_TS = np.zeros_like(is_active_TS)
    for start_s, end_s, name in found:
        got_TS[round(start_s * 50) : round(end_s * 50), labels.index(name)] = True
    assert np.count_nonzero(got_TS != is_active_TS) <= 1  # the median itself


def test_a_program_whose_scores_are_wrong_is_not_written(tmp_path, monkeypatch):
    def swapped(program, module):
        wrong = copy.deepcopy(module)
        wrong.output.bias.data = wrong.output.bias.data.flip(0)
        return right(program, wrong)

    right = head_module.LOWERINGS[HEADS[KS.head]]
    head_for(model_of("hubert-tiny", plan=None, seed=0), tmp_path)
    monkeypatch.setitem(head_module.LOWERINGS, HEADS[KS.head], swapped)
    with pytest.raises(RuntimeError, match="scores"):
        export_model("hubert-tiny", tmp_path / "p.safetensors", head=tmp_path)
    assert not (tmp_path / "p.safetensors").exists()


def test_a_head_of_an_unknown_task_is_refused_by_the_task(tmp_path):
    model = model_of("hubert-tiny", plan=None, seed=0)
    head_for(model, tmp_path)
    path = tmp_path / "head.safetensors"
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(file.metadata()["earbit"])
    save_file(tensors, path, {"earbit": json.dumps({**header, "task": "sing"})})
    with pytest.raises(FormatError, match="unknown task 'sing'"):
        head_of(model, tmp_path, name="hubert-tiny")


def test_a_program_never_replaces_a_model(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(random_model(preset("hubert-tiny"), 0), path, {})
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"holds a trained model or head \(earbit-model-2\)"):
        export_model("hubert-tiny", path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("label", ["_none_", "up"])
@pytest.mark.parametrize("torch_label", ["_none_", "up"])
def test_the_result_that_no_keyword_was_spoken_is_not_shown_as_a_label(label, torch_label):
    head = {"label": label, "torch_label": torch_label, "max_abs_error": 0.0}
    agreement = {"worst_bit_agreement": 1.0, "worst_leaf": "none"}
    agreement |= {"n_frames": 1, "output_cosine": 1.0, "max_abs_error": 0.0}
    text = rendered_program({"file": "p", "bytes": 1, "agreement": agreement, "head": head})
    shown = {"_none_": "(no keyword)", "up": "'up'"}
    assert f"the result of the head is {shown[label]} " in text
    assert (f"but PyTorch gives {shown[torch_label]} " in text) == (label != torch_label)
