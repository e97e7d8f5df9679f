"""Scales come from what the model computes, not from how it computes it."""

import copy

import pytest
import torch

from earbit.load import random_model
from earbit.nn.attention import SelfAttention
from earbit.nn.leaves import Linear
from earbit.nn.precision import W1A1, Precision
from earbit.nn.sparse_pattern import SparsePattern
from earbit.nn.window_attention import WindowAttention
from earbit.presets import preset
from earbit.quantize.calibrate import (
    MAX_SEARCHED,
    CalibrationConfig,
    calibrate,
    quantizers_of,
)
from earbit.quantize.convert import convert
from earbit.quantize.plan import plan_named
from earbit.quantize.scale_search import N_CANDIDATES, least_squares_scale
from earbit.quantize.student import noise_clips, quantized_copy, student_of


class MaskedDense(SelfAttention):
    """The window as one masked matrix."""

    def __init__(self, twin: WindowAttention) -> None:
        super().__init__(twin.out_proj.in_features, twin.n_heads, 0.0)
        self.load_state_dict(twin.state_dict())
        self.radius_frames = twin.left_frames

    def attend(self, q, k, v, lengths):
        index = torch.arange(q.shape[-2])
        far = (index[:, None] - index).abs() > self.radius_frames
        scores = self.scores(q, k.transpose(-1, -2)).masked_fill(far, float("-inf"))
        p = scores.softmax(-1)
        # Pairs outside the window are not computed at all, so they do not count.
        pattern = SparsePattern(
            n_pairs=0, is_left_sparse=True, left=~far, right=torch.ones(1, 1, dtype=torch.bool)
        )
        with self.context.on(pattern):
            return self.context(p, v)


@pytest.mark.parametrize("n_frames", [1, 9, 24, 32, 49, 200])
def test_scales_of_window_attention_are_those_of_the_masked_dense_product(n_frames):
    torch.manual_seed(n_frames)
    window = WindowAttention(32, 4, 0.0, 8)
    dense = MaskedDense(copy.deepcopy(window))
    x = torch.randn(2, n_frames, 32)
    scales = []
    for attention in (window, dense):
        convert(attention, {"scores": W1A1, "context": W1A1})
        calibrate(attention, [x])
        leaves = (attention.scores, attention.context)
        scales.append(
            [q.scale for leaf in leaves for q in (leaf.left_quantizer, leaf.right_quantizer)]
        )
    # The binarized scores of both are equal, so the probabilities are too.
    assert torch.allclose(torch.stack(scales[0]), torch.stack(scales[1]), rtol=1e-5)


@pytest.mark.parametrize("rule", ["bit", "least-squares"])
def test_a_median_shift_brings_signed_channels_to_zero_and_the_scale_follows_its_rule(rule):
    model = torch.nn.Sequential(Linear(6, 4))
    convert(model, {"0": W1A1})
    x = torch.randn(1, 501, 6, generator=torch.Generator().manual_seed(0)) + torch.arange(6.0)
    calibrate(model, [x], CalibrationConfig(scale=rule, shift="median"))
    quantizer = model[0].input_quantizer
    moved = (x + quantizer.shift.detach()).flatten()
    assert moved.view(501, 6).median(0).values.abs().max() < 1e-6
    expected = 2 * moved.abs().mean()
    if rule == "least-squares":
        # Of one signed bit the least squared error has the scale mean|x|.
        expected = moved.abs().mean()
        tolerance = moved.abs().max() / N_CANDIDATES
        assert abs(quantizer.scale - expected) <= tolerance
    else:
        assert torch.isclose(quantizer.scale, expected)


def test_what_is_unsigned_is_not_shifted():
    model = torch.nn.Sequential(Linear(6, 4, input_activation="gelu"))
    convert(model, {"0": W1A1})
    calibrate(model, [torch.randn(1, 50, 6) + 3], CalibrationConfig(shift="median"))
    assert not model[0].input_quantizer.shift.any()


def test_shifts_that_were_learned_stay_and_those_of_new_leaves_are_found():
    random = torch.Generator().manual_seed(1)
    clips = [0.1 * torch.randn(8000, generator=random).numpy() for _ in range(2)]
    medians = CalibrationConfig(shift="median")
    teacher = random_model(preset("hubert-tiny"), 0)
    first = student_of(teacher, plan_named("w1a1-encoder"), clips, medians)
    learned = quantizers_of(first)
    for quantizer in learned.values():
        if quantizer.shift is not None:
            quantizer.shift.data += 0.01
    second = quantizers_of(student_of(first, plan_named("w1a1"), clips, medians))
    for name, quantizer in learned.items():
        if quantizer.shift is not None:
            assert torch.equal(second[name].shift, quantizer.shift)
    assert second["encoder.position.conv.input_quantizer"].shift.abs().max() > 0


def test_the_search_for_the_least_error_in_a_part_of_a_long_input_finds_nearly_its_scale():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(1, 40_000, 12, generator=random) * torch.arange(1.0, 13.0)
    model = torch.nn.Sequential(Linear(12, 4))
    convert(model, {"0": Precision(8, 8)})
    assert x.numel() > 3 * MAX_SEARCHED
    calibrate(model, [x], CalibrationConfig(scale="least-squares"))
    of_all = least_squares_scale(x.flatten()[None], 8, "signed")[0]
    assert abs(model[0].input_quantizer.scale / of_all - 1) < 0.05


@pytest.mark.parametrize(("plan", "share"), [("w8a8", 0.7), ("w4a4", 0.95)])
def test_a_copy_that_is_not_trained_is_nearer_to_float_than_with_the_scales_of_bit(plan, share):
    model = random_model(preset("hubert-tiny"), 0).eval()
    clips = noise_clips(0)

    def error(student):
        with torch.no_grad():
            wave = torch.from_numpy(noise_clips(7)[0])[None]
            expected, found = (m.eval()(wave).states[-1] for m in (model, student))
        return ((found - expected).square().sum() / expected.square().sum()).item()

    with_bit = error(student_of(model, plan_named(plan), clips, CalibrationConfig()))
    assert error(quantized_copy(model, plan, clips)) < share * with_bit
