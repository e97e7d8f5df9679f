"""Trainings in bfloat16 and float16 judged against float32, and compiled against plain layers."""

import dataclasses
import json
import signal

import pytest
import torch
from test_loop import CONFIG, MODEL, data, logged, run  # noqa: F401
from torch._dynamo.utils import counters

from earbit.config import override, to_dict
from earbit.errors import ConfigError, Interrupted
from earbit.load import random_model
from earbit.nn.devices import LOW
from earbit.nn.leaves import Conv1d, Linear, MatMul
from earbit.nn.precision import Precision
from earbit.presets import preset
from earbit.pretrain.loop import train
from earbit.pretrain.machine import Machine
from earbit.pretrain.objective import Objective, masked_units
from earbit.pretrain.parallel import compiled_layers
from earbit.quantize.calibrate import quantizers_of
from earbit.quantize.convert import convert
from earbit.quantize.leaves import QuantizedLinear, QuantizedMatMul
from earbit.quantize.student import noise_clips, quantized_copy

EPSILON = {"bf16": 2**-8, "fp16": 2**-11}


@pytest.mark.parametrize("plan", [None, "w1a1", "w4a4", "w8a8"])
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
        # Sums of 8-bit codes do not fit into float16.
        is_wide = name == "fp32" or (name, plan) == ("fp16", "w8a8")
        assert found - {torch.float32} == (set() if is_wide else {LOW[name]})
        losses.append([line["loss"] for line in logged(out) if "loss" in line])
    # A code of one bit flips where an activation lies nearer to its threshold than the rounding.
    tolerance = (4 if plan is None else 32) * EPSILON[precision]
    assert len(losses[1]) >= 5
    assert losses[1][0] == pytest.approx(losses[0][0], rel=tolerance)


@pytest.mark.parametrize("name", ["hubert-tiny", "sparseformer-dn-tiny"])
def test_quantized_leaves_and_attention_weights_stay_in_half_precision(name):
    model = quantized_copy(random_model(preset(name), seed=1), "w1a1", noise_clips(0)).eval()
    found = {}
    for where, module in model.encoder.layers.named_modules():
        if isinstance(module, QuantizedLinear):
            module.register_forward_hook(lambda _, x, y, at=where: found.update({at: y.dtype}))
        if isinstance(module, QuantizedMatMul):
            module.register_forward_hook(
                lambda _, x, y, at=where: found.update({at: y.dtype, f"{at} input": x[0].dtype})
            )
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        model(0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0)))
    assert {at for at in found if at.endswith("context input")}
    assert {at: dtype for at, dtype in found.items() if dtype != torch.bfloat16} == {}


@pytest.mark.parametrize("kind", ["linear", "convolution", "product"])
def test_sums_of_8_bit_codes_stay_finite_in_float16(kind):
    random = torch.Generator().manual_seed(0)
    leaf, shapes = {
        "linear": (Linear(2048, 8), [(3, 2048)]),
        "convolution": (Conv1d(512, 8, 4), [(2, 512, 20)]),
        "product": (MatMul("signed"), [(2, 4, 2048), (2, 2048, 5)]),
    }[kind]
    model = torch.nn.Sequential(leaf)
    convert(model, {"0": Precision(8, 8)})
    # Signs of one direction: far larger sums than those of independent codes.
    inputs = [(3 + torch.rand(*shape, generator=random)).requires_grad_() for shape in shapes]
    if kind != "product":
        torch.nn.init.uniform_(model[0].weight, 0.5, 1.0, generator=random)
    for quantizer in quantizers_of(model).values():
        torch.nn.init.constant_(quantizer.scale, 4 / 127)
    found = {}
    for dtype in (None, torch.float16):
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            y = model[0](*inputs)
        gradients = torch.autograd.grad(y.float().sum(), inputs)
        found[dtype] = [y.float(), *gradients]
    for ours, expected in zip(found[torch.float16], found[None], strict=True):
        assert torch.isfinite(ours).all()
        torch.testing.assert_close(
            ours, expected, rtol=4e-3, atol=1e-3 * expected.abs().max().item()
        )


def test_residuals_before_norms_and_unit_logits_are_not_rounded_to_half_precision():
    config = override(preset("hubert-tiny"), ["encoder.norm=pre", "n_units=500"])
    model = random_model(config, seed=1).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        states = model(0.1 * torch.randn(1, 8000)).states
        logits = model.unit_logits(states[-1])
    assert {state.dtype for state in states} == {torch.float32}
    assert logits.dtype == torch.float32
    assert len(logits[0].unique()) > 0.9 * logits[0].numel()


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


def test_front_end_position_and_layers_are_compiled_and_a_filterbank_is_not():
    filterbank = random_model(preset("hubert-fbank-tiny"), seed=0)
    for model, front_end in ((random_model(MODEL, seed=1), True), (filterbank, False)):
        with compiled_layers(model, True):
            modules = (model.encoder.position, *model.encoder.layers)
            assert all(module._compiled_call_impl is not None for module in modules)
            assert (model.front_end._compiled_call_impl is not None) == front_end


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
        modules = (model.front_end, model.encoder.position, *model.encoder.layers)
        assert all(module._compiled_call_impl is None for module in modules)
        losses.append([line["loss"] for line in logged(out)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
