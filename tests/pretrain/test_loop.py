"""The loop on four noises: it resumes to the same bits, and refuses what does not fit."""

import dataclasses
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from earbit.audio.clips import Clip, ClipTable, reading_from
from earbit.config import to_dict
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError, Interrupted
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.pretrain.checkpoint import load_newest, steps_done
from earbit.pretrain.loop import TrainingData, train, validate
from earbit.pretrain.objective import Loss, Objective, masked_units
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser
from earbit.pretrain.train_config import TrainConfig
from earbit.quantize.student import noise_clips, quantized_copy
from earbit.units.kmeans import fit_kmeans
from earbit.units.labels import LabelHeader, UnitLabels
from earbit.units.mfcc import mfcc

MODEL = ModelConfig(
    encoder=TransformerConfig(n_layers=1, d_model=16, n_heads=2, d_ffn=32, position_kernel=16),
    front_end=FrontEndConfig(n_channels=8),
    n_units=4,
)
CONFIG = TrainConfig(
    optimiser=OptimiserConfig(peak_lr=1e-3, n_steps=8, warmup_steps=2),
    batch_s=2.0,
    crop_s=0.9,
    checkpoint_every_steps=3,
    log_every_steps=1,
)
STRICT = dataclasses.replace(CONFIG, max_skipped_steps=1)


def table(sizes: dict[str, int]) -> ClipTable:
    return ClipTable(Clip(name, Path(name), n) for name, n in sizes.items())


def logged(folder: Path) -> list[dict]:
    """Lines of a log without the speed of the machine."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").open()]
    return [{k: v for k, v in line.items() if k != "machine"} for line in lines]


@pytest.fixture(scope="module")
def data() -> TrainingData:
    random = np.random.default_rng(0)
    sizes = {"a": 9000, "b": 16_000, "c": 12_000, "d": 17_000, "v": 10_000}
    waveforms = {
        name: (0.1 * random.standard_normal(n)).astype(np.float32) for name, n in sizes.items()
    }
    features = {name: mfcc(waveform) for name, waveform in waveforms.items()}
    kmeans = fit_kmeans(np.concatenate(list(features.values())), n_units=4, seed=0)
    header = LabelHeader("mfcc", None, 100, 4, kmeans.digest, "noise")
    labels = UnitLabels(header, {name: kmeans.assign(x) for name, x in features.items()})
    valid = table({"v": sizes.pop("v")})
    return TrainingData(table(sizes), valid, reading_from(waveforms), "noise", labels)


def run(data, out_dir, config=CONFIG):
    model = random_model(MODEL, seed=1)
    objective = masked_units(config.unmasked_weight)
    figures = train(model, data, config, out_dir, objective=objective, run=to_dict(config))
    return model, figures


def test_a_run_that_was_cut_short_ends_with_the_same_bits(data, tmp_path):
    whole, figures = run(data, tmp_path / "whole")

    class Killed(Exception):
        pass

    calls = 0

    def dies(*args):
        nonlocal calls
        calls += 1
        if calls == 6:
            raise Killed
        return masked_units(0.0).loss(*args)

    with pytest.raises(Killed):
        train(
            random_model(MODEL, seed=1),
            data,
            CONFIG,
            tmp_path / "cut",
            objective=Objective(dies, needs_units=True),
            run=to_dict(CONFIG),
        )
    resumed, resumed_figures = run(data, tmp_path / "cut")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert figures == resumed_figures
    logs = [logged(tmp_path / d) for d in ("whole", "cut")]
    assert logs[0] == logs[1]
    assert [line["step"] for line in logs[0]] == list(range(1, 9))


@pytest.mark.parametrize(("n_signals", "n_kept"), [(1, 5), (2, 3)], ids=["once", "twice"])
def test_ctrl_c_keeps_the_current_step_unless_it_is_repeated(data, tmp_path, n_signals, n_kept):
    whole, figures = run(data, tmp_path / "whole")
    n_steps_begun = 0

    def interrupts(*args):
        nonlocal n_steps_begun
        n_steps_begun += 1
        if n_steps_begun == 5:
            for _ in range(n_signals):
                signal.raise_signal(signal.SIGINT)
        return masked_units(0.0).loss(*args)

    with pytest.raises(Interrupted, match=f"^pre-training after step {n_kept} of 8$"):
        train(
            random_model(MODEL, seed=1),
            data,
            CONFIG,
            tmp_path / "cut",
            objective=Objective(interrupts, needs_units=True),
            run=to_dict(CONFIG),
            title="pre-training",
        )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert n_steps_begun == 5
    assert steps_done(tmp_path / "cut" / "checkpoints") == n_kept
    resumed, resumed_figures = run(data, tmp_path / "cut")
    assert figures == resumed_figures
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    logs = [logged(tmp_path / d) for d in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_training_moves_nothing_global(data, tmp_path):
    before = torch.get_rng_state()
    run(data, tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_a_folder_of_another_run_is_refused(data, tmp_path):
    run(data, tmp_path)
    other = dataclasses.replace(CONFIG, seed=7)
    with pytest.raises(ConfigError, match="seed=1337, here seed=7"):
        run(data, tmp_path, other)


def test_only_whole_checkpoints_are_seen_and_two_are_kept(data, tmp_path):
    run(data, tmp_path)
    folder = tmp_path / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == ["step-00000006", "step-00000008"]
    (folder / ".step-00000099.tmp").mkdir()
    model = random_model(MODEL, seed=2)
    state = json.loads((folder / "step-00000008" / "state.json").read_text())
    position = load_newest(folder, model, build_optimiser(model, CONFIG.optimiser), state["run"])
    assert position.step == 8
    saved = load_file(folder / "step-00000008" / "model.safetensors")
    assert all(torch.equal(saved[name], t) for name, t in model.state_dict().items())


def test_audio_that_is_not_finite_names_the_step_and_the_clips(data, tmp_path):
    def read(clip, *crop):
        return np.full_like(data.read(clip, *crop), np.nan)

    broken = dataclasses.replace(data, read=read)
    with pytest.raises(DataError, match=r"step 1, batch \w+.*: audio of row 0 is not finite"):
        run(broken, tmp_path, STRICT)


def test_a_loss_that_is_not_finite_names_the_module_it_comes_from(data, tmp_path):
    model = random_model(MODEL, seed=1)
    name = "encoder.layers.0.feed_forward.intermediate"
    torch.nn.init.constant_(model.get_submodule(name).bias, float("inf"))
    with pytest.raises(
        DataError, match=f"step 1, batch .*: the loss is .*first output not finite is {name}; "
    ):
        train(model, data, STRICT, tmp_path, objective=masked_units(0.0), run={})


def test_one_bit_does_not_hide_the_module_that_is_not_finite(data, tmp_path):
    model = quantized_copy(random_model(MODEL, seed=1), "w1a1", noise_clips(0))
    name = "front_end.convs.3"
    torch.nn.init.constant_(model.get_submodule(name).weight, float("nan"))
    with pytest.raises(
        DataError, match=f"step 1, batch .*: the loss is nan, the first output not finite is {name}"
    ):
        train(model, data, STRICT, tmp_path, objective=masked_units(0.0), run={})


def test_the_loss_is_cross_entropy_and_ten_times_the_penalty(data, tmp_path):
    run(data, tmp_path)
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    expected = line["cross_entropy"] + 10 * line["feature_penalty"]
    assert line["loss"] == pytest.approx(expected, rel=1e-6)


def test_a_gradient_that_is_not_finite_stops_before_it_is_applied(data, tmp_path):
    def broken(model, *args):
        loss = masked_units(0.0).loss(model, *args)
        # Its value is the loss, its derivative at 0 is not a number.
        zero = (model.mask_embedding * 0).sum().sqrt()
        return dataclasses.replace(loss, total=loss.total + zero)

    model = random_model(MODEL, seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    objective = Objective(broken, needs_units=True)
    with pytest.raises(
        DataError, match="step 1, batch .*: the gradient is nan.*that of mask_embedding"
    ):
        train(model, data, STRICT, tmp_path, objective=objective, run={})
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_frames_that_are_not_hidden_weigh_as_much_as_they_are_told(data, tmp_path):
    run(data, tmp_path, dataclasses.replace(CONFIG, unmasked_weight=0.5))
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    expected = (
        line["cross_entropy"] + 0.5 * line["unmasked_cross_entropy"] + 10 * line["feature_penalty"]
    )
    assert line["loss"] == pytest.approx(expected, rel=1e-6)


def test_an_objective_without_units_gets_no_targets_from_data_with_or_without_labels(
    data, tmp_path
):
    seen = []

    def penalty(model, wave_BN, mask_BT, targets_BT):
        seen.append((mask_BT, targets_BT))
        output = model(wave_BN, mask_BT=mask_BT)
        return Loss(output.feature_penalty, {"frames": output.states[-1].detach().sum()})

    objective = Objective(penalty, needs_units=False)
    for labels in (data.labels, None):
        out_dir = tmp_path / str(labels is None)
        bare = dataclasses.replace(data, labels=labels)
        model = random_model(MODEL, seed=1)
        figures = train(model, bare, CONFIG, out_dir, objective=objective, run={})
        assert set(figures) == {"valid_loss", "valid_frames"}
    assert all(targets_BT is None for _, targets_BT in seen)
    half = len(seen) // 2
    for (a, _), (b, _) in zip(seen[:half], seen[half:], strict=True):
        assert a.any()
        assert torch.equal(a, b)


def test_an_objective_that_needs_units_is_refused_before_training_on_data_without(data, tmp_path):
    bare = dataclasses.replace(data, labels=None)
    model = random_model(MODEL, seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ConfigError, match="no units .* label the corpus with `earbit units`"):
        train(model, bare, CONFIG, tmp_path / "out", objective=masked_units(0.0), run={})
    with pytest.raises(ConfigError, match="the data has no units"):
        validate(model, bare, CONFIG, masked_units(0.0))
    assert not (tmp_path / "out").exists()
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_data_is_described_by_its_corpus_and_by_its_units_if_there_are_any(data):
    assert dataclasses.replace(data, labels=None).digests == {"corpus": "noise"}
    assert data.digests == {
        "corpus": "noise",
        "labels": data.labels.digest,
        "kmeans": data.labels.header.kmeans_digest,
    }
