"""Programs of Conformer and Squeezeformer against the PyTorch model, with weights as if trained."""

import dataclasses
from fnmatch import fnmatch

import numpy as np
import pytest
import torch

from earbit.errors import UnsupportedError
from earbit.export.lower import lower_model
from earbit.export.prepared_model import model_of
from earbit.export.verb import export_model, export_to
from earbit.export.verify import states_alone, verify
from earbit.load import random_model
from earbit.nn.leaves import leaves_of
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.presets import preset
from earbit.quantize.calibrate import calibrate
from earbit.quantize.convert import convert
from earbit.quantize.plan import plan_named
from earbit.quantize.student import noise_clips
from earbit.runtime import Session

AUDIO = noise_clips(9, n_clips=1, n_samples=20_000)[0]
NAMES = ["conformer-tiny", "squeezeformer-tiny", "sparseformer-stream-tiny"]
PLANS = ["fp32", "w1a1-encoder", "w1a1"]


def as_if_trained(config, precisions, seed=0):
    """A model in which no bias, shift, scale or statistic is what it is at the start."""
    model = random_model(config, seed)
    random = torch.Generator().manual_seed(seed)

    def noise(like, size):
        return size * torch.randn(like.shape, generator=random)

    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        last = name.rsplit(".", 1)[-1]
        if last in ("bias", "content_bias", "position_bias", "shift", "running_mean"):
            tensor.data += noise(tensor, 0.2)
        elif last == "running_var":
            tensor.data *= torch.exp(noise(tensor, 0.5))
        elif "norm" in name and last == "weight":
            # Some channels of a norm turn around.
            tensor.data += noise(tensor, 0.8)
        elif last == "scale":
            tensor.data += noise(tensor, 0.8)
    convert(model, precisions(leaves_of(model)) if callable(precisions) else precisions)
    if any(not p.is_float for p in (one.leaf.precision for one in leaves_of(model))):
        (clip,) = noise_clips(seed, n_clips=1, n_samples=9_000)
        calibrate(model, [torch.from_numpy(clip)[None]])
    for name, parameter in model.named_parameters():
        if name.endswith("input_quantizer.shift"):
            parameter.data += noise(parameter, 0.3)
    return model.eval()


def check(model, folder, *clips):
    """Bits, and every layer from the program's own state before it, as one bit may fall anywhere.

    Two sides whose floats differ by a rounding part for good at the first bit that differs.
    """
    export_to(model, folder / "p.safetensors", name="t", waveform=clips[0])
    session = Session(folder / "p.safetensors")
    for clip in clips:
        agreed = verify(model, session, clip)
        assert agreed.bit_agreement >= 0.9999, agreed
        if agreed.worst_leaf == "none":
            assert agreed.output_cosine >= 0.99999, agreed
        ours = session.run(clip, layers="all")
        with torch.no_grad():
            theirs = torch.stack(model(torch.from_numpy(clip)[None]).states)[:, 0]
            from_ours = states_alone(model, clip, ours)
        assert ours.shape == theirs.shape
        assert cosine(ours[0], theirs[0].numpy()) > 0.9999, len(clip)
        for found, expected in zip(ours[1:], from_ours[1:], strict=True):
            assert cosine(found, expected) > 0.9999, len(clip)


def cosine(a, b):
    return np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))


def shallow(name):
    """A preset with as few layers as it can have."""
    config = preset(name)
    layers = {"n_layers": 1}
    if name.startswith("squeezeformer"):
        layers = {"n_layers": 2, "reduce_before": 0, "recover_before": 1}
    return dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, **layers))


def plan_of(name):
    return plan_named(name).precisions


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plan", PLANS)
def test_a_preset_agrees_with_pytorch_in_bits_and_outputs(name, plan, tmp_path):
    agreement = export_model(name, tmp_path / "p.safetensors", plan=plan)["agreement"]
    assert agreement["bit_agreement"] >= 0.9999
    assert agreement["output_cosine"] >= 0.99999
    assert agreement["n_frames"] == 99


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plan", PLANS)
def test_trained_norms_biases_and_shifts_are_honoured_at_any_length(name, plan, tmp_path):
    model = as_if_trained(preset(name), plan_of(plan))
    # One frame, two, three, an odd and an even number of them.
    check(model, tmp_path, *(AUDIO[:n] for n in (400, 401, 720, 1040, 5_555, 16_000)))


@pytest.mark.parametrize("name", NAMES)
def test_threads_and_a_batch_do_not_change_a_bit(name, tmp_path):
    model = as_if_trained(preset(name), plan_of("w1a1"))
    export_to(model, tmp_path / "p.safetensors", name="t", waveform=AUDIO)
    clips = [AUDIO, AUDIO[:401], AUDIO[:17_777]]
    alone = Session(tmp_path / "p.safetensors").run_batch(clips)
    together = Session(tmp_path / "p.safetensors", threads=3).run_batch(clips)
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("binary", "of"),
    [
        ("*.depthwise", "conformer-tiny"),
        ("*.project", "conformer-tiny"),
        ("*.expand", "conformer-tiny"),
        ("*.depthwise", "squeezeformer-tiny"),
        ("*.project", "squeezeformer-tiny"),
        ("*.expand", "squeezeformer-tiny"),
        ("*.out_proj", "conformer-tiny"),
        ("*.position_proj", "conformer-tiny"),
        ("*.q_proj", "squeezeformer-tiny"),
        ("*scores", "conformer-tiny"),
        ("encoder.recovery", "squeezeformer-tiny"),
        ("encoder.reduction.pointwise", "squeezeformer-tiny"),
    ],
)
@pytest.mark.parametrize("others", ["float", "binary"])
def test_a_leaf_whose_neighbours_have_another_precision_is_lowered(binary, of, others, tmp_path):
    config = shallow(of)
    all_binary = plan_of("w1a1-encoder")(leaves_of(random_model(config, 0)))

    def precisions(leaves):
        names = [one.name for one in leaves]
        chosen = [name for name in names if fnmatch(name, binary)]
        chosen = [name for name in chosen if name != "encoder.reduction.depthwise"]
        if binary == "*scores":
            chosen += [name for name in names if name.endswith(".context")]
        if others == "float":
            return dict.fromkeys(chosen, W1A1)
        return all_binary | {name: W1A1 if all_binary[name].is_float else FLOAT for name in chosen}

    model = as_if_trained(config, precisions)
    check(model, tmp_path, AUDIO[:9000])


@pytest.mark.parametrize("name", ["conformer-tiny", "squeezeformer-tiny"])
def test_an_encoder_without_a_positional_convolution_is_lowered(name, tmp_path):
    config = preset(name)
    encoder = dataclasses.replace(config.encoder, position_kernel=None)
    model = as_if_trained(dataclasses.replace(config, encoder=encoder), plan_of("w1a1-encoder"))
    check(model, tmp_path, AUDIO)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (0, 3), (1, 3), (2, 3)])
def test_the_rate_may_change_before_any_block(first, last, tmp_path):
    config = preset("squeezeformer-tiny")
    encoder = dataclasses.replace(
        config.encoder, n_layers=4, reduce_before=first, recover_before=last
    )
    model = as_if_trained(dataclasses.replace(config, encoder=encoder), plan_of("w1a1-encoder"))
    check(model, tmp_path, AUDIO[:16_001])


def test_operands_of_relative_scores_are_compared(tmp_path):
    path = tmp_path / "p.safetensors"
    model = as_if_trained(preset("conformer-tiny"), plan_of("w1a1"))
    export_to(model, path, name="t", waveform=AUDIO)
    attention = model.encoder.layers[1].attention
    for parameter, operand in (
        (attention.position_bias, "position_scores.left"),
        (attention.content_bias, "scores.left"),
        (attention.position_proj.weight, "position_scores.right"),
    ):
        kept = parameter.data.clone()
        with torch.no_grad():
            parameter += 1e6 if parameter.shape != attention.position_proj.weight.shape else 0
            if operand.endswith("right"):
                parameter.neg_()
        agreed = verify(model, Session(path), AUDIO)
        assert agreed.worst_leaf == f"encoder.layers.1.attention.{operand}"
        assert agreed.worst_bit_agreement < 0.9
        parameter.data = kept


def test_a_mixed_relative_attention_is_refused_by_name():
    model = random_model(preset("conformer-tiny"), 0)
    convert(model, {"encoder.layers.1.attention.position_scores": W1A1})
    with pytest.raises(UnsupportedError, match=r"encoder\.layers\.1\.attention: of scores"):
        lower_model(model)


@pytest.mark.parametrize("precision", [W1A1, Precision(4, 4), Precision(8, 8), Precision(8, 32)])
def test_a_quantized_reduction_is_refused_by_name(precision):
    model = random_model(preset("squeezeformer-tiny"), 0)
    convert(model, {"encoder.reduction.depthwise": precision})
    with pytest.raises(UnsupportedError, match=r"encoder\.reduction\.depthwise: zeros"):
        lower_model(model)


def test_the_packed_encoder_is_really_one_bit(tmp_path):
    name = "conformer-tiny"
    small = export_model(name, tmp_path / "b.safetensors", plan="w1a1")["bytes"]
    large = export_model(name, tmp_path / "f.safetensors", plan="fp32")["bytes"]
    assert large > 5 * small


def test_a_norm_folded_into_thresholds_makes_no_floats_between_two_binary_leaves():
    program = lower_model(model_of("squeezeformer-tiny", plan="w1a1", seed=0))
    reads = {i: op["op"] for i, op in enumerate(program.ops, 1)}
    depthwise = [op for op in program.ops if op["op"] == "depthwise_b1"]
    assert len(depthwise) == 3
    for op in depthwise:
        assert reads[op["inputs"][0]] == "gemm_b1"
        assert "threshold" in op["tensors"]
