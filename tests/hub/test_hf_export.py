"""`earbit export --format hf`: folders that transformers opens, with transformers as the judge."""

import json
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import random_heads
from earbit.cli.main import main
from earbit.config import override
from earbit.errors import ConfigError, FormatError, UnsupportedError
from earbit.export.verb import export_model
from earbit.heads.head import HeadShape
from earbit.heads.linear import FrameLinear
from earbit.hub.verb import import_model
from earbit.load import load_model, random_model
from earbit.model_file import save_model
from earbit.presets import preset
from earbit.quantize.student import noise_clips
from earbit.runtime.greedy_text import greedy_indices
from earbit.superb.tasks import TASKS
from random_heads import head_for

transformers = pytest.importorskip("transformers")
from earbit.hub.hf.export import export_hf  # noqa: E402

WAVE = torch.from_numpy(noise_clips(3, n_clips=1)[0])[None, :8000]
LARGE = ("encoder.norm=pre", "front_end.norm=layer", "front_end.conv_bias=true")


def saved(folder, config=None, seed=0):
    model = random_model(config or preset("hubert-tiny"), seed).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Away from ones and zeros, that a swapped name could not hide behind.
            parameter.add_(0.02 * torch.randn(parameter.shape))
    folder.mkdir(exist_ok=True)
    save_model(model, folder / "model.safetensors", {"stage": "pretrain", "corpus": "abc"})
    return model


def states_of(theirs, wave):
    with torch.no_grad():
        output = theirs(wave, output_hidden_states=True)
    # transformers 5 lists the last state of a pre-norm encoder without the norm behind it.
    return [*output.hidden_states[:-1], output.last_hidden_state]


def assert_equal_states(model, theirs, wave=WAVE):
    with torch.no_grad():
        states = model(wave).states
    for ours, other in zip(states, states_of(theirs, wave), strict=True):
        assert torch.allclose(ours, other, atol=1e-5 * float(ours.abs().max()))


@pytest.mark.parametrize("changes", [(), LARGE], ids=["base", "large"])
def test_hubert_model_opens_the_folder_and_the_way_back_is_bit_exact(changes, tmp_path):
    model = saved(tmp_path / "ours", override(preset("hubert-tiny"), changes))
    result = export_hf(str(tmp_path / "ours"), tmp_path / "theirs")
    assert result["class"] == "HubertModel"
    assert_equal_states(model, transformers.HubertModel.from_pretrained(tmp_path / "theirs"))
    import_model(tmp_path / "theirs", tmp_path / "again")
    again = load_model(tmp_path / "again").state_dict()
    assert model.state_dict().keys() == again.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again[name]), name


@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_random_configurations_compute_the_same_in_transformers(data, tmp_path_factory):
    n_heads = data.draw(st.sampled_from([1, 2, 4]))
    changes = {
        "encoder.n_layers": data.draw(st.integers(1, 3)),
        "encoder.n_heads": n_heads,
        "encoder.d_model": 16 * n_heads * data.draw(st.integers(1, 2)),
        "encoder.d_ffn": data.draw(st.integers(1, 90)),
        "encoder.norm": data.draw(st.sampled_from(["pre", "post"])),
        "encoder.position_kernel": data.draw(st.integers(1, 20)),
        "front_end.norm": data.draw(st.sampled_from(["channel", "layer"])),
        "front_end.conv_bias": json.dumps(data.draw(st.booleans())),
        "front_end.n_channels": data.draw(st.integers(2, 24)),
    }
    config = override(preset("hubert-tiny"), [f"{k}={v}" for k, v in changes.items()])
    folder = tmp_path_factory.mktemp("random")
    model = saved(folder / "ours", config)
    export_hf(str(folder / "ours"), folder / "theirs")
    assert_equal_states(model, transformers.HubertModel.from_pretrained(folder / "theirs"))


@pytest.mark.parametrize("eps", [1e-5, 1e-7])
def test_the_feature_extractor_normalizes_what_the_model_normalizes(eps, tmp_path, capsys):
    changes = (*LARGE, "normalize_waveform=true", f"waveform_eps={eps}")
    model = saved(tmp_path / "ours", override(preset("hubert-tiny"), changes))
    export_hf(str(tmp_path / "ours"), tmp_path / "theirs")
    said = "adds 1e-05 to the variance of the waveform, the feature extractor of transformers 1e-07"
    assert (said in capsys.readouterr().err) == (eps == 1e-5)
    assert (
        f"normalized, {eps:g} added to its variance" in (tmp_path / "theirs/README.md").read_text()
    )
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "theirs")
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "theirs")
    read = extractor(3 * WAVE[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    assert read.attention_mask.all()
    with torch.no_grad():
        expected = model(3 * WAVE).states[-1]
        found = theirs(**read).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-4)


def linear_head(model, folder, symbols):
    """A CTC head that reads the last state only."""
    encoder = model.config.encoder
    shape = HeadShape(
        n_states=encoder.n_layers + 1, width=encoder.d_model, n_outputs=len(symbols), d_hidden=8
    )
    module = FrameLinear(shape)
    module.layers.logits.data[:-1] = -200.0
    random_heads.save(module, model, folder, slots=(symbols,), task=TASKS["pr"])
    return module


def test_a_linear_ctc_head_becomes_hubert_for_ctc_with_its_vocabulary(tmp_path):
    symbols = ("<blank>", " ", "'", "é", "ab ")
    model = saved(tmp_path / "ours")
    module = linear_head(model, tmp_path / "head", symbols)
    result = export_hf(str(tmp_path / "ours"), tmp_path / "out", head=tmp_path / "head")
    assert result["class"] == "HubertForCTC"
    theirs = transformers.HubertForCTC.from_pretrained(tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        logits = theirs(WAVE).logits
        expected = module(torch.stack(model(WAVE).states), torch.tensor([24]))
    assert torch.allclose(logits, expected, atol=1e-5)
    ids = torch.tensor([4, 4, 0, 3, 3, 1, 1, 2, 0, 4])
    text = "".join(symbols[i] for i in greedy_indices(torch.eye(5)[ids].numpy()))
    assert tokenizer.decode(ids) == text.strip() == "ab é 'ab"


@pytest.mark.parametrize(
    ("symbols", "unknown"), [(("[UNK]", "a", " "), 1), (("a", "<unk>", " "), 2), (("a", " "), 0)]
)
def test_text_with_characters_outside_of_the_vocabulary_can_be_encoded(tmp_path, symbols, unknown):
    model = saved(tmp_path / "ours")
    linear_head(model, tmp_path / "head", ("<blank>", *symbols))
    export_hf(str(tmp_path / "ours"), tmp_path / "out", head=tmp_path / "head")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    vocabulary = tokenizer.get_vocab()
    assert tokenizer("aZ a").input_ids == [
        vocabulary["a"],
        unknown,
        vocabulary["|"],
        vocabulary["a"],
    ]


@pytest.mark.parametrize(
    ("name", "plan", "because"),
    [
        ("conformer-tiny", None, "the encoder is a Conformer"),
        ("hubert-tiny", "w1a1", "the model is quantized"),
    ],
)
def test_other_models_get_the_classes_of_earbit_and_the_reason_is_said(
    name, plan, because, tmp_path, capsys
):
    out = tmp_path / "out"
    given_plan = [] if plan is None else ["--plan", plan]
    main(["export", name, *given_plan, "--format", "hf", "--out", str(out)])
    assert f"EarbitModel (not HuBERT's class: {because})" in capsys.readouterr().out
    card = (out / "README.md").read_text()
    assert "library_name: transformers" in card
    assert f"| preset | {name} |" in card
    assert "Not recorded: licence;" in card


def test_the_card_has_the_score_of_the_head_and_the_digests(tmp_path):
    model = saved(tmp_path / "ours")
    head_for(model, tmp_path / "ks")
    scores = {"metric": "accuracy", "value": 0.875, "interval": [0.8, 0.9], "n_test": 40}
    scores["corpus_digest"] = "f00d"
    (tmp_path / "ks" / "scores.json").write_text(json.dumps(scores))
    export_hf(str(tmp_path / "ours"), tmp_path / "out", head=tmp_path / "ks")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| score | accuracy 0.875 on 40 test clips, 95 % interval [0.8, 0.9] |" in card
    assert "| digest of the task's corpus | f00d |" in card
    assert "| digest of the corpus | abc |" in card
    assert "pipeline_tag: audio-classification" in card
    assert "scores" not in card.partition("Not recorded:")[2]


@pytest.mark.parametrize("content", ["{", "[1]", "null", '{"value": 1}', '{"metric": "wer"}'])
def test_a_damaged_file_of_scores_is_named_in_one_line(content, tmp_path):
    head_for(saved(tmp_path), tmp_path / "ks")
    (tmp_path / "ks" / "scores.json").write_text(content)
    with pytest.raises(FormatError, match=r"^\S*scores\.json: .*; give the `ear") as error:
        export_hf(str(tmp_path), tmp_path / "out", head=tmp_path / "ks")
    assert "\n" not in str(error.value)


def test_the_name_of_a_file_is_refused_with_the_other_way(tmp_path):
    with pytest.raises(ConfigError, match="this format writes a folder"):
        export_hf("hubert-tiny", tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match="--format onnx and --format hf write folders"):
        export_model("hubert-tiny", tmp_path / "a.onnx")


def test_a_trained_model_is_never_overwritten_and_another_export_is(tmp_path):
    saved(tmp_path / "ours")
    with pytest.raises(ConfigError, match=r"holds a trained model \(earbit-model-2\)"):
        export_hf(str(tmp_path / "ours"), tmp_path / "ours")
    for _ in range(2):
        export_hf("hubert-tiny", tmp_path / "out")
    (tmp_path / "out" / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match=r"holds other files \(thesis\.tex\)"):
        export_hf("hubert-tiny", tmp_path / "out")


def test_a_head_that_transformers_has_no_class_for_is_refused_with_what_can_be_done(tmp_path):
    model = saved(tmp_path / "ours")
    head_for(model, tmp_path / "ic", task=TASKS["ic"], slots=(("a", "b"), ("c", "d")))
    head_for(model, tmp_path / "asv", task=TASKS["asv"], d_hidden=8)
    for task, reason in (("ic", "2 classes at once"), ("asv", "kind 'vector'")):
        with pytest.raises(UnsupportedError, match=f"{task} gives {reason}.*use --format onnx"):
            export_hf(str(tmp_path / "ours"), tmp_path / "out", head=tmp_path / task)
    assert not list((tmp_path / "out").glob("*"))


def test_a_missing_extra_is_one_line_with_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SystemExit, match="2"):
        main(["export", "hubert-tiny", "--format", "hf", "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert "--format hf needs transformers of the extra `hf`; install it with: " in error
    assert len(error.splitlines()) == 1


def test_the_head_for_units_is_left_out_and_this_is_said(tmp_path, capsys):
    saved(tmp_path / "ours", replace(preset("hubert-tiny"), n_units=5))
    export_hf(str(tmp_path / "ours"), tmp_path / "out")
    assert "head for units" in capsys.readouterr().err
