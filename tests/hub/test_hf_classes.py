"""The classes of earbit in transformers: Auto classes, padding, training and pipelines."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from earbit.config import override
from earbit.errors import ConfigError, DataError
from earbit.export.prepared_model import model_of
from earbit.frames import n_frames_of
from earbit.load import random_model
from earbit.model_file import save_model
from earbit.presets import preset
from earbit.quantize.student import noise_clips
from earbit.superb.tasks import TASKS
from random_heads import LABELS, head_for

transformers = pytest.importorskip("transformers")
from earbit.hub.hf import EarbitConfig, EarbitForCTC, EarbitModel  # noqa: E402
from earbit.hub.hf.export import export_hf  # noqa: E402

WAVE = noise_clips(3, n_clips=1)[0][:8000]
SYMBOLS = ("<blank>", " ", "a", "b")
ENCODERS_AND_PLANS = [
    ("conformer-tiny", "w1a1"),
    ("squeezeformer-tiny", "w8a8"),
    ("sparseformer-dn-tiny", "w1a2"),
    ("sparseformer-sw-tiny", None),
    ("hubert-tiny", "w1a1-frontend8"),
]


def exported(folder, name, plan="w1a1", task=None, labels=LABELS):
    """A folder of a random model, and the model and head that it holds."""
    model = model_of(name, plan=plan, seed=0)
    save_model(model, folder / "model.safetensors", {})
    if task is None:
        export_hf(str(folder), folder / "out")
        return model, None
    module = head_for(model, folder / "head", task=TASKS[task], labels=labels, d_hidden=12)
    export_hf(str(folder), folder / "out", head=folder / "head")
    return model, module


@pytest.mark.parametrize(("name", "plan"), ENCODERS_AND_PLANS)
def test_automodel_opens_every_encoder_and_plan_and_saving_again_changes_no_bit(
    name, plan, tmp_path
):
    model, _ = exported(tmp_path, name, plan)
    first = transformers.AutoModel.from_pretrained(tmp_path / "out")
    first.save_pretrained(tmp_path / "again")
    second = transformers.AutoModel.from_pretrained(tmp_path / "again")
    assert type(second) is EarbitModel
    assert second.config.to_diff_dict() == first.config.to_diff_dict()
    for key, tensor in model.state_dict().items():
        assert torch.equal(second.network.state_dict()[key], tensor), key
    wave = torch.from_numpy(WAVE)[None]
    with torch.no_grad():
        expected = model(wave).states
        output = second(wave, output_hidden_states=True)
    for state, other in zip(expected, output.hidden_states, strict=True):
        assert torch.equal(state, other)


def test_a_clip_has_the_same_states_alone_and_padded_and_the_frame_mask_is_returned(tmp_path):
    exported(tmp_path, "squeezeformer-tiny", "w1a2")
    model = transformers.AutoModel.from_pretrained(tmp_path / "out")
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "out")
    clips = [WAVE, WAVE[:4321]]
    read = extractor(clips, sampling_rate=16_000, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = model(**read)
        alone = model(torch.from_numpy(clips[1])[None])
    n_frames = n_frames_of(4321)
    assert output.attention_mask.sum(-1).tolist() == [n_frames_of(8000), n_frames]
    assert alone.attention_mask.all()
    last = output.last_hidden_state[1, :n_frames]
    assert torch.allclose(last, alone.last_hidden_state[0], atol=1e-5)


def test_padding_on_the_left_is_refused(tmp_path):
    model = EarbitModel(EarbitConfig.of(model_of("conformer-tiny", plan=None, seed=0)))
    mask = torch.ones(1, 8000)
    mask[0, :10] = 0
    with pytest.raises(DataError, match="pad on the right"):
        model(torch.from_numpy(WAVE)[None], mask)


@pytest.mark.parametrize("task", ["pr", "asr"])
def test_pipeline_gives_the_text_of_the_head(task, tmp_path):
    model, module = exported(tmp_path, "conformer-tiny", task=task, labels=SYMBOLS)
    transcribe = transformers.pipeline("automatic-speech-recognition", str(tmp_path / "out"))
    with torch.no_grad():
        states = torch.stack(model(torch.from_numpy(WAVE)[None]).states)
        logits = module.eval()(states, torch.tensor([states.shape[2]]))[0]
    symbols = torch.unique_consecutive(logits.argmax(-1)).tolist()
    text = "".join(SYMBOLS[i] for i in symbols if i).strip()
    assert text
    assert transcribe(WAVE)["text"] == text
    short = WAVE[:5000]
    batch = transcribe([WAVE.copy(), short.copy()], batch_size=2)
    assert [found["text"] for found in batch] == [text, transcribe(short)["text"]]
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "out")
    assert type(processor) is transformers.Wav2Vec2Processor
    assert processor(text="a b").input_ids == [2, 1, 3]
    chunked = transcribe(np.tile(WAVE, 4), chunk_length_s=1.0, return_timestamps="char")
    assert chunked["chunks"][-1]["timestamp"][1] <= 2.0


def test_pipeline_gives_the_classes_of_the_head(tmp_path, caplog):
    model, module = exported(tmp_path, "sparseformer-dn-tiny", task="ks")
    classify = transformers.pipeline("audio-classification", str(tmp_path / "out"))
    with torch.no_grad():
        states = torch.stack(model(torch.from_numpy(WAVE)[None]).states)
        expected = module(states, torch.tensor([states.shape[2]]))[0].softmax(-1)
    found = {result["label"]: result["score"] for result in classify(WAVE)}
    assert found == pytest.approx(dict(zip(LABELS, expected.tolist(), strict=True)), abs=1e-5)
    assert "not supported" not in caplog.text


def test_pipeline_gives_features_with_the_extractor_in_place_of_a_tokenizer(tmp_path):
    model, _ = exported(tmp_path, "hubert-tiny")
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "out")
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "out")
    features = transformers.pipeline("feature-extraction", theirs, tokenizer=extractor)
    with torch.no_grad():
        expected = model(torch.from_numpy(WAVE)[None]).states[-1].numpy()
    assert np.allclose(features(WAVE), expected, atol=1e-5)


def test_the_loss_of_text_is_that_of_pytorch_without_padding(tmp_path):
    config = EarbitConfig.of(
        model_of("conformer-tiny", plan=None, seed=0),
        head={"network": "frame_linear", "n_outputs": 4},
    )
    model = EarbitForCTC(config).eval()
    waves = torch.from_numpy(np.stack([WAVE, WAVE[::-1].copy()]))
    mask = torch.arange(8000) < torch.tensor([[8000], [5000]])
    labels = torch.tensor([[1, 2, 2], [3, -100, -100]])
    output = model(waves, mask, labels=labels)
    losses = []
    for i, (n_samples, n_labels) in enumerate(((8000, 3), (5000, 1))):
        logits = model(waves[i : i + 1, :n_samples]).logits.log_softmax(-1).transpose(0, 1)
        losses.append(F.ctc_loss(logits, labels[i : i + 1, :n_labels], [len(logits)], [n_labels]))
    assert float(output.loss.detach()) == pytest.approx(float(sum(losses).detach()) / 2, rel=1e-5)
    with pytest.raises(DataError, match="label 4; allowed: 0 to 3.* and -100 as padding"):
        model(waves, mask, labels=labels.clamp(max=2) + 2)


def test_other_negative_labels_are_refused_and_texts_without_symbols_have_a_loss():
    model = EarbitForCTC(EarbitConfig.of(model_of("conformer-tiny", plan=None, seed=0)))
    wave = torch.from_numpy(WAVE)[None]
    with pytest.raises(DataError, match="label -7; allowed: 0 to 31"):
        model(wave, labels=torch.tensor([[1, -7]]))
    for labels in (torch.zeros(1, 0, dtype=torch.long), torch.full((1, 2), -100)):
        output = model(wave, labels=labels)
        # The only path is blanks in all frames; the mean counts an empty text as one symbol.
        blanks = -output.logits.log_softmax(-1)[0, :, 0].sum()
        assert torch.allclose(output.loss, blanks)


class Tones(torch.utils.data.Dataset):
    """Clips of noise of two lengths, labelled by their level."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return {"input_values": WAVE[: 4000 + 400 * i] * (1 + 4 * (i % 2)), "labels": i % 2}


def test_trainer_trains_a_head_on_a_folder_without_one(tmp_path):
    exported(tmp_path, "sparseformer-sw-tiny")
    model = transformers.AutoModelForAudioClassification.from_pretrained(
        tmp_path / "out", num_labels=2
    )
    assert torch.isfinite(torch.cat([p.flatten() for p in model.head.parameters()])).all()
    assert not model.head.layers.logits.any()
    model.freeze_base_model()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "out")

    def collate(clips):
        read = extractor.pad(
            [{"input_values": clip["input_values"]} for clip in clips],
            padding=True,
            return_tensors="pt",
        )
        return {**read, "labels": torch.tensor([clip["labels"] for clip in clips])}

    before = model.head.output.weight.detach().clone()
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "run"),
        max_steps=3,
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )

    def accuracy(prediction):
        scores, labels = prediction
        return {"accuracy": float((scores.argmax(-1) == labels).mean())}

    trainer = transformers.Trainer(
        model,
        arguments,
        train_dataset=Tones(),
        eval_dataset=Tones(),
        data_collator=collate,
        compute_metrics=accuracy,
    )
    trainer.train()
    measured = trainer.evaluate()
    assert np.isfinite(measured["eval_loss"])
    assert 0 <= measured["eval_accuracy"] <= 1
    assert not torch.equal(before, model.head.output.weight)
    trainer.save_model(tmp_path / "trained")
    again = type(model).from_pretrained(tmp_path / "trained")
    assert torch.equal(again.head.output.weight, model.head.output.weight)


def test_a_head_of_another_class_is_refused_by_its_name(tmp_path):
    exported(tmp_path, "conformer-tiny", task="ks")
    with pytest.raises(ConfigError, match="EarbitForCTC with a head 'mean_pool_linear'; allowed"):
        transformers.AutoModelForCTC.from_pretrained(tmp_path / "out")


def test_a_new_model_has_the_initial_weights_of_earbit():
    config = override(preset("hubert-tiny"), ["encoder.n_layers=1"])
    torch.manual_seed(0)
    model = EarbitModel(EarbitConfig.of(random_model(config, 0)))
    weight = model.network.encoder.layers[0].feed_forward.intermediate.weight
    assert float(weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not model.network.encoder.layers[0].feed_forward.intermediate.bias.any()


def test_the_size_of_the_vocabulary_and_frames_have_the_names_of_transformers(tmp_path):
    exported(tmp_path, "conformer-tiny")
    model = transformers.AutoModelForCTC.from_pretrained(tmp_path / "out", vocab_size=7)
    assert model.config.vocab_size == 7
    assert model(torch.from_numpy(WAVE[None, :8000])).logits.shape == (1, 24, 7)
    assert model._get_feat_extract_output_lengths(torch.tensor([400, 8000])).tolist() == [1, 24]
    model.save_pretrained(tmp_path / "saved")
    again = transformers.AutoConfig.from_pretrained(tmp_path / "saved")
    assert again.vocab_size == 7
