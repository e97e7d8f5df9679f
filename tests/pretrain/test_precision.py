"""Trainings in bfloat16 and float16 judged against float32, and compiled against plain layers."""

import dataclasses
import json
import signal

import pytest
import torch
from test_loop import CONFIG, MODEL, data, logged, run  # noqa: F401
from torch._dynamo.utils import counters

from earbit.config import to_dict
from earbit.errors import ConfigError, Interrupted
from earbit.load import random_model
from earbit.nn.devices import LOW
from earbit.pretrain.loop import train
from earbit.pretrain.machine import Machine
from earbit.pretrain.objective import Objective, masked_units
from earbit.quantize.student import noise_clips, quantized_copy

EPSILON = {"bf16": 2**-8, "fp16": 2**-11}


@pytest.mark.parametrize("plan", [None, "w1a1", "w4a4"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_what_float32_does_within_its_accuracy(
    data,  # noqa: F811
    tmp_path,
    precision,
    plan,
):
    losses = []
    for name in ("fp32", precision):
        found = set()
        model = random_model(MODEL, seed=1)
        model = model if plan is None else quantized_copy(model, plan, noise_clips(0))
        for layer in model.encoder.layers[0].modules():
            layer.register_forward_hook(lambda layer, x, y, found=found: found.add(y.dtype))
        config = dataclasses.replace(CONFIG, precision=name)
        out = tmp_path / name
        train(model, data, config, out, objective=masked_units(0.0), run={})
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert found - {torch.float32} == ({LOW[name]} if name in LOW else set())
        losses.append([line["loss"] for line in logged(out) if "loss" in line])
    # A code of one bit flips where an activation lies nearer to its threshold than the rounding.
    tolerance = (4 if plan is None else 32) * EPSILON[precision]
    assert len(losses[1]) >= 5
    assert losses[1][0] == pytest.approx(losses[0][0], rel=tolerance)


def test_float16_resumes_to_the_same_bits_and_scale(data, tmp_path):  # noqa: F811
    config = dataclasses.replace(CONFIG, precision="fp16")
    whole, _ = run(data, tmp_path / "whole", config)
    n_calls = 0

    def interrupts(*args):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 4:
            signal.raise_signal(signal.SIGINT)
        return masked_units(0.0).loss(*args)

    with pytest.raises(Interrupted):
        train(
            random_model(MODEL, seed=1),
            data,
            config,
            tmp_path / "cut",
            objective=Objective(interrupts, needs_units=True),
            run=to_dict(config),
        )
    (state,) = (tmp_path / "cut" / "checkpoints").glob("step-*4/state.json")
    assert json.loads(state.read_text())["scaler"]["scale"] >= 1.0
    resumed, _ = run(data, tmp_path / "cut", config)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert logged(tmp_path / "whole") == logged(tmp_path / "cut")
    assert all(line["loss_scale"] >= 1.0 for line in logged(tmp_path / "cut"))


def test_float16_with_fsdp_is_refused(data, tmp_path):  # noqa: F811
    config = dataclasses.replace(CONFIG, precision="fp16", machine=Machine(sharding="fsdp"))
    with pytest.raises(ConfigError, match="allowed: bf16 or fp32 with fsdp, or ddp"):
        run(data, tmp_path, config)


@pytest.mark.slow  # the compiler takes a minute
def test_compiled_layers_give_the_same_losses(data, tmp_path):  # noqa: F811
    encoder = dataclasses.replace(MODEL.encoder, dropout=0.0, layer_drop=0.0)
    config = dataclasses.replace(MODEL, encoder=encoder, dropout_input=0.0)
    losses = []
    for is_compiled in (False, True):
        out = tmp_path / str(is_compiled)
        of_run = dataclasses.replace(CONFIG, machine=Machine(compile=is_compiled))
        model = random_model(config, seed=1)
        names = set(model.state_dict())
        counters.clear()
        train(model, data, of_run, out, objective=masked_units(0.0), run={})
        assert (counters["frames"]["ok"] > 0) == is_compiled
        assert set(model.state_dict()) == names
        assert all(layer._compiled_call_impl is None for layer in model.encoder.layers)
        losses.append([line["loss"] for line in logged(out)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
