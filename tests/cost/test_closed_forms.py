"""Whole models against closed forms, as integers."""

from dataclasses import replace

import pytest
from by_hand import (
    conformer_macs,
    frames_of,
    macs_by_role,
    profile,
    samples_of,
    squeezeformer_macs,
    transformer_macs,
)

from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.sparseformer import WindowConfig
from earbit.encoders.squeezeformer import SqueezeformerConfig
from earbit.encoders.transformer import TransformerConfig
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.presets import preset

FRAMES = [1, 2, 3, 16, 17, 31, 99, 499, 1499, 6000]


@pytest.mark.parametrize(
    ("n_samples", "n_channels", "n_layers", "d", "n_heads", "d_ffn"),
    [
        *((samples_of(t), 64, 3, 96, 4, 384) for t in FRAMES),
        *((n, 32, 1, 48, 3, 80) for n in (719, 720, 16_000, 100_001)),
        *((n, 512, 12, 768, 12, 3072) for n in (160_000, 480_000)),
    ],
)
def test_a_transformer_costs_the_closed_form(n_samples, n_channels, n_layers, d, n_heads, d_ffn):
    encoder = TransformerConfig(n_layers=n_layers, d_model=d, n_heads=n_heads, d_ffn=d_ffn)
    config = ModelConfig(encoder=encoder, front_end=FrontEndConfig(n_channels=n_channels))
    expected = transformer_macs(n_samples, n_channels, n_layers, d, d_ffn)
    assert macs_by_role(config, n_samples) == expected


def test_hubert_base_costs_74_06_gmac_for_10_s_and_250_0_for_30_s():
    ten = profile(preset("hubert-base"))
    products = [op.n_macs for op in ten.ops if op.kind == "matmul"]
    assert round(sum(products) / 1e9, 3) == 4.590
    linears = 499 * 12 * 768**2
    assert {role: round(cost.macs / 1e9, 3) for role, cost in ten.groups.items()} == {
        "front_end": 24.539,
        "projection": 0.196,
        "position": 2.355,
        "attention": round((4 * linears + sum(products)) / 1e9, 3),
        "convolution": 0,
        "feed_forward": round(8 * linears / 1e9, 3),
        "head": 0,
        "rest": 0,
    }
    assert ten.total.macs == 74_061_804_544
    thirty = profile(preset("hubert-base"), n_samples=480_000)
    assert round(thirty.total.macs / 1e9, 1) == 250.0


def test_the_seven_convolutions_of_hubert_base_cost_what_their_shapes_say():
    ops = profile(preset("hubert-base")).ops
    convs = [op for op in ops if op.name.startswith("front_end.convs")]
    giga = [round(op.n_macs / 1e9, 3) for op in convs]
    assert giga == [0.164, 12.582, 6.291, 3.145, 1.572, 0.524, 0.262]


def test_hubert_base_has_94_371_712_parameters_in_the_roles_that_its_shape_says():
    cost = profile(preset("hubert-base"))
    assert cost.total.parameters == 94_371_712
    assert cost.total.storage_bits == {32: 32 * 94_371_712, 16: 16 * 94_371_712}
    assert {role: c.parameters for role, c in cost.groups.items()} == {
        "front_end": 4_200_448,
        "projection": 393_984,
        "position": 4_718_592 + 128 + 768,
        "attention": 12 * 4 * (768**2 + 768),
        "convolution": 0,
        "feed_forward": 12 * (2 * 768 * 3072 + 3840),
        "head": 0,
        # The mask embedding and the norms: one of the features, one and twenty-four of width 768.
        "rest": 768 + 2 * 512 + 25 * 2 * 768,
    }


@pytest.mark.parametrize(("n_samples", "n_channels", "d", "h", "e"), [(16_000, 64, 96, 4, 384)])
def test_what_is_not_a_product_is_the_closed_form_too(n_samples, n_channels, d, h, e):
    n_layers, config = 3, preset("hubert-tiny")
    frames = frames_of(n_samples)
    t, c = frames[-1], n_channels
    # Group norm 5 per element; one GELU per convolution's output; no biases.
    front_end = 5 * c * frames[0] + c * sum(frames)
    # Bias of the positional convolution, GELU, sum.
    position = 3 * t * d
    # Biases of four linears, the scaling of q and one softmax.
    attention = n_layers * (4 * t * d + t * d + h * t * t)
    # Biases of both linears, and the GELU that the second one owns.
    feed_forward = n_layers * t * (e + d + e)
    # Mean square of the features (square, two means), the two norms before the layers; in each
    # layer two norms and two sums.
    rest = (2 * t * c + t) + 5 * t * c + 5 * t * d + n_layers * (2 * 5 * t * d + 2 * t * d)
    groups = profile(config, n_samples=n_samples).groups
    assert {role: cost.other_flops for role, cost in groups.items()} == {
        "front_end": front_end,
        "projection": t * d,
        "position": position,
        "attention": attention,
        "convolution": 0,
        "feed_forward": feed_forward,
        "head": 0,
        "rest": rest,
    }
    assert all(cost.flops == 2 * cost.macs + cost.other_flops for cost in groups.values())


@pytest.mark.parametrize("n_frames", FRAMES)
@pytest.mark.parametrize(("d", "n_heads", "e", "kernel"), [(144, 4, 576, 31), (32, 2, 48, 5)])
def test_conformer_and_squeezeformer_cost_their_closed_forms(n_frames, d, n_heads, e, kernel):
    shape = {"d_model": d, "n_heads": n_heads, "d_ffn": e, "conv_kernel": kernel}
    conformer = ConformerConfig(n_layers=3, **shape)
    squeezeformer = SqueezeformerConfig(n_layers=4, reduce_before=1, recover_before=3, **shape)
    expected = {
        conformer: conformer_macs(n_frames, d, e, kernel, 3),
        squeezeformer: squeezeformer_macs(n_frames, squeezeformer),
    }
    for encoder, parts in expected.items():
        config = ModelConfig(encoder=encoder, front_end=FrontEndConfig(n_channels=8))
        found = macs_by_role(config, samples_of(n_frames))
        projection = n_frames * 8 * d + parts.get("projection", 0)
        assert {role: found[role] for role in parts} | {"projection": found["projection"]} == (
            parts | {"projection": projection}
        )


@pytest.mark.parametrize(
    ("name", "n_frames", "giga"),
    [
        ("conformer-s", 499, 6.468),
        ("conformer-s", 1499, 33.24),
        ("squeezeformer-xs", 499, 4.718),
        ("squeezeformer-xs", 1499, 22.80),
    ],
)
def test_encoders_cost_what_the_catalogue_says(name, n_frames, giga):
    found = macs_by_role(preset(name), samples_of(n_frames))
    # The catalogue counts blocks alone.
    blocks = found["attention"] + found["convolution"] + found["feed_forward"]
    assert f"{blocks / 1e9:.4g}" == f"{giga:.4g}"


@pytest.mark.parametrize(
    ("n_samples", "window_frames"),
    [(400, 32), (2_000, 1), (2_000, 7), (16_000, 32), (16_000, 500), (48_000, 2), (48_000, 33)],
)
def test_window_attention_is_counted_at_the_pairs_that_a_loop_finds(n_samples, window_frames):
    config = preset("sparseformer-dn-tiny")
    config = replace(
        config, encoder=replace(config.encoder, pattern=WindowConfig(frames=window_frames))
    )
    t, radius = frames_of(n_samples)[-1], window_frames // 2
    n_pairs = sum(abs(q - k) <= radius for q in range(t) for k in range(t))
    d, n_layers = config.encoder.d_model, config.encoder.n_layers
    ops = [op for op in profile(config, n_samples=n_samples).ops if op.kind == "matmul"]
    assert [op.n_macs for op in ops] == [n_pairs * d] * (2 * n_layers)


def test_window_attention_costs_2_t_w_plus_1_d_without_what_lies_beyond_the_ends():
    cost = profile(preset("sparseformer-dn-s"))
    t, d, w = 499, 144, 32
    beyond_ends = (w // 2) * (w // 2 + 1)
    per_layer = 2 * (t * (w + 1) - beyond_ends) * d
    products = sum(op.n_macs for op in cost.ops if op.kind == "matmul")
    assert products == 16 * per_layer
