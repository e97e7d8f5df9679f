"""Whole models against closed forms in integers, and against an independent counter."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache

import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from earbit.cost.profile import MAX_SAMPLES, Profile, leaf_names_of, profile_model
from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.sparseformer import FixedConfig, StridedConfig, WindowConfig
from earbit.encoders.squeezeformer import SqueezeformerConfig
from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError
from earbit.model import AudioModel, ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.precision import W1A1, Precision
from earbit.presets import PRESETS, preset


def frames_of(n_samples: int) -> list[int]:
    """Frames after each convolution of wav2vec 2.0."""
    frames = []
    for kernel, stride in ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)):
        n_samples = (n_samples - kernel) // stride + 1
        frames.append(n_samples)
    return frames


def front_end_macs(n_samples: int, n_channels: int) -> int:
    first, *others = frames_of(n_samples)
    taps = (3, 3, 3, 3, 2, 2)
    return n_channels * 10 * first + sum(
        n_channels**2 * k * t for k, t in zip(taps, others, strict=True)
    )


@cache
def float_profile(config: ModelConfig, n_samples: int) -> Profile:
    return profile_model(config, {}, n_samples=n_samples, name="model", plan="plan")


def profile(
    config: ModelConfig,
    precisions: Mapping[str, Precision] | None = None,
    n_samples: int = 160_000,
) -> Profile:
    if not precisions:
        return float_profile(config, n_samples)
    return profile_model(config, precisions, n_samples=n_samples, name="model", plan="plan")


def plan(config: ModelConfig, *patterns: str) -> dict[str, Precision]:
    """W1A1 for the leaves that a pattern matches."""
    return {
        name: W1A1
        for name in leaf_names_of(config)
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def macs_by_part(config: ModelConfig, n_samples: int) -> dict[str, int]:
    groups = profile(config, n_samples=n_samples).groups
    return {part: cost.macs for part, cost in groups.items()}


@pytest.mark.parametrize(
    ("n_samples", "n_channels", "n_layers", "d", "n_heads", "d_ffn"),
    [
        *((n, 64, 3, 96, 4, 384) for n in (400, 720, 3_520, 160_000)),
        *((n, 32, 1, 48, 3, 80) for n in (719, 16_000, 100_001)),
        *((n, 512, 12, 768, 12, 3072) for n in (160_000, 480_000)),
    ],
)
def test_a_transformer_costs_the_closed_form(n_samples, n_channels, n_layers, d, n_heads, d_ffn):
    encoder = TransformerConfig(n_layers=n_layers, d_model=d, n_heads=n_heads, d_ffn=d_ffn)
    config = ModelConfig(encoder=encoder, front_end=FrontEndConfig(n_channels=n_channels))
    t = frames_of(n_samples)[-1]
    assert macs_by_part(config, n_samples) == {
        "front end": front_end_macs(n_samples, n_channels),
        "positions": t * d * (d // 16) * 128,
        "linears": t * n_channels * d + n_layers * t * (4 * d * d + 2 * d * d_ffn),
        "convolutions": 0,
        "attention products": n_layers * 2 * t * t * d,
        "rest": 0,
    }


def test_hubert_base_costs_74_06_gmac_for_10_s_and_250_0_for_30_s():
    ten = profile(preset("hubert-base"))
    (projection,) = [op.n_macs for op in ten.ops if op.name == "projection"]
    macs = {part: cost.macs for part, cost in ten.groups.items()}
    macs["linears"] -= projection
    assert round(projection / 1e9, 3) == 0.196
    assert {part: round(n_macs / 1e9, 3) for part, n_macs in macs.items()} == {
        "front end": 24.539,
        "positions": 2.355,
        "linears": 42.382,
        "convolutions": 0,
        "attention products": 4.590,
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


def test_hubert_base_has_94_371_712_parameters_in_the_parts_that_its_shape_says():
    cost = profile(preset("hubert-base"))
    assert cost.total.parameters == 94_371_712
    assert cost.total.storage_bits == 32 * 94_371_712
    assert {part: c.parameters for part, c in cost.groups.items()} == {
        "front end": 4_200_448,
        "positions": 4_718_592 + 128 + 768,
        "linears": 393_984 + 12 * (4 * (768**2 + 768) + 2 * 768 * 3072 + 3840),
        "convolutions": 0,
        "attention products": 0,
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
    positions = 3 * t * d
    # Biases of all linears, and the GELU that each layer's last linear owns.
    linears = t * d + n_layers * t * (4 * d + e + d + e)
    # Mean square of the features (square, two means), the two norms before the layers; in each
    # layer two norms, two sums, the scaling of q and one softmax.
    rest = (2 * t * c + t) + 5 * t * c + 5 * t * d
    rest += n_layers * (2 * 5 * t * d + 2 * t * d + t * d + h * t * t)
    groups = profile(config, n_samples=n_samples).groups
    assert {part: cost.other_flops for part, cost in groups.items()} == {
        "front end": front_end,
        "positions": positions,
        "linears": linears,
        "convolutions": 0,
        "attention products": 0,
        "rest": rest,
    }
    assert all(cost.flops == 2 * cost.macs + cost.other_flops for cost in groups.values())


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


def samples_of(n_frames: int) -> int:
    """The shortest audio of so many frames."""
    return 400 + 320 * (n_frames - 1)


def conformer_macs(t: int, d: int, e: int, k: int, n_layers: int) -> dict[str, int]:
    """Appendix B: two feed-forwards, attention, convolution; content and position products."""
    linears = t * (4 * d * e + 4 * d * d + 3 * d * d) + (2 * t - 1) * d * d
    products = 2 * t * t * d + t * (2 * t - 1) * d
    return {
        "linears": n_layers * linears,
        "convolutions": n_layers * t * k * d,
        "attention products": n_layers * products,
    }


def squeezeformer_block(t: int, d: int, e: int, k: int) -> tuple[int, int, int]:
    linears = t * (4 * d * e + 4 * d * d + 4 * d * d) + (2 * t - 1) * d * d
    return linears, t * 2 * k * d, 2 * t * t * d + t * (2 * t - 1) * d


def squeezeformer_macs(t: int, c: SqueezeformerConfig) -> dict[str, int]:
    d, half = c.d_model, -(-t // 2)
    n_reduced = c.recover_before - c.reduce_before
    full = squeezeformer_block(t, d, c.d_ffn, c.conv_kernel)
    reduced = squeezeformer_block(half, d, c.d_ffn, c.conv_kernel)
    linears, convolutions, products = (
        (c.n_layers - n_reduced) * a + n_reduced * b for a, b in zip(full, reduced, strict=True)
    )
    return {
        "linears": linears + half * d * d + t * d * d,
        "convolutions": convolutions + half * 5 * d,
        "attention products": products,
    }


FRAMES = [1, 2, 3, 16, 17, 31, 99, 499, 1499, 6000]


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
        found = macs_by_part(config, samples_of(n_frames))
        projection = n_frames * 8 * d
        assert {part: found[part] for part in parts} == parts | {
            "linears": parts["linears"] + projection
        }


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
    found = macs_by_part(preset(name), samples_of(n_frames))
    t, d, half = n_frames, 144, -(-n_frames // 2)
    # The catalogue counts blocks alone.
    u_net = half * (5 * d + d * d) + t * d * d if name.startswith("squeeze") else 0
    blocks = found["linears"] + found["convolutions"] + found["attention products"]
    blocks -= t * 512 * d + u_net
    assert f"{blocks / 1e9:.4g}" == f"{giga:.4g}"


@pytest.mark.parametrize("n_frames", [1, 7, 99, 499])
@pytest.mark.parametrize("heads", ["merged", "split"])
def test_patterns_of_child_et_al_are_counted_at_the_pairs_that_a_loop_finds(n_frames, heads):
    config, t = preset("sparseformer-dn-tiny"), n_frames
    d, n_layers = 64, 4
    pairs = {
        FixedConfig(stride=16, expressivity=3, heads=heads): (
            {(q, k) for q in range(t) for k in range(t) if q // 16 == k // 16},
            {(q, k) for q in range(t) for k in range(t) if k % 16 >= 13},
        ),
        StridedConfig(stride=16, heads=heads): (
            {(q, k) for q in range(t) for k in range(t) if abs(q - k) <= 16},
            {(q, k) for q in range(t) for k in range(t) if (q - k) % 16 == 0},
        ),
    }
    for pattern, (near, far) in pairs.items():
        # A pair costs the width of the heads that compute it, in both products.
        is_split = heads == "split"
        n_macs = (len(near) + len(far)) * d // 2 if is_split else len(near | far) * d
        sparse = replace(config, encoder=replace(config.encoder, pattern=pattern))
        found = macs_by_part(sparse, samples_of(n_frames))["attention products"]
        assert found == 2 * n_layers * n_macs


def test_window_attention_costs_2_t_w_plus_1_d_without_what_lies_beyond_the_ends():
    cost = profile(preset("sparseformer-dn-s"))
    t, d, w = 499, 144, 32
    beyond_ends = (w // 2) * (w // 2 + 1)
    per_layer = 2 * (t * (w + 1) - beyond_ends) * d
    assert cost.groups["attention products"].macs == 16 * per_layer


ENCODER = "encoder.layers.*"
ALL_BUT_FIRST_CONV = (
    "front_end.convs.[1-6]",
    "projection",
    "encoder.position.conv",
    ENCODER,
)


@pytest.mark.parametrize(
    ("patterns", "n_float_macs", "tera"),
    [
        ((), 74_061_804_544, 75.84),
        ((ENCODER,), 24_539_032_576 + 499 * 768 * 512 + 2_354_577_408, 27.79),
        (ALL_BUT_FIRST_CONV, 31_999 * 512 * 10, 0.24),
    ],
    ids=["fp32", "encoder", "all-but-conv0"],
)
def test_bops_of_hubert_base_are_macs_times_both_widths(patterns, n_float_macs, tera):
    config = preset("hubert-base")
    total = profile(config, plan(config, *patterns)).total
    assert total.bops == 32 * 32 * n_float_macs + (total.macs - n_float_macs)
    assert round(total.bops / 1e12, 2) == tera


def test_a_plan_changes_bits_and_storage_and_no_count_of_operations():
    config = preset("sparseformer-dn-tiny")
    plain = profile(config).total
    binary = profile(config, plan(config, ENCODER)).total
    changed = {"bops": binary.bops, "storage_bits": binary.storage_bits}
    assert binary == replace(plain, **changed)
    assert binary.bops < plain.bops
    assert binary.storage_bits < plain.storage_bits


@pytest.mark.parametrize("name", PRESETS)
def test_every_operation_of_every_preset_has_a_formula(name):
    cost = profile(preset(name))
    assert not cost.unknown_ops
    for field in ("parameters", "storage_bits", "macs", "other_flops", "flops", "bops"):
        parts = [getattr(part, field) for part in cost.groups.values()]
        assert getattr(cost.total, field) == sum(parts) > 0


@pytest.mark.parametrize("name", ["hubert-tiny", "sparseformer-dn-tiny"])
def test_an_independent_counter_differs_only_where_we_count_what_is_needed(name, monkeypatch):
    monkeypatch.setattr(logging.getLogger("fvcore.nn.jit_analysis"), "disabled", True)
    config, n_samples = preset(name), 32_000

    class Features(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AudioModel(config).eval()

        def forward(self, wave_BN):
            return self.model(wave_BN).states[-1]

    theirs = FlopCountAnalysis(Features(), torch.zeros(1, n_samples)).by_operator()
    ours = macs_by_part(config, n_samples)
    d = config.encoder.d_model
    # It counts the frame that the positional convolution drops.
    dropped = d * (d // 16) * 128
    assert theirs["conv"] == ours["front end"] + ours["positions"] + dropped
    assert theirs["linear"] == ours["linears"]
    if name == "hubert-tiny":
        assert theirs["matmul"] == ours["attention products"]
        total = theirs["conv"] + theirs["linear"] + theirs["matmul"]
        assert total == pytest.approx(sum(ours.values()), rel=1e-3)
    else:
        # It counts whole blocks: 4 blocks of 32 queries, each with 64 keys, two products.
        n_block_pairs = 4 * 32 * 64
        assert theirs["matmul"] == config.encoder.n_layers * 2 * n_block_pairs * d
        assert ours["attention products"] < theirs["matmul"] / 2


def test_the_unit_head_is_no_part_of_the_cost_and_may_be_named():
    config = preset("hubert-tiny")
    with_head = replace(config, n_units=100)
    precisions = plan(with_head, "head.*", ENCODER)
    assert "head.projection" in precisions
    assert profile(with_head, precisions) == profile(config, plan(config, ENCODER))


def test_a_leaf_that_is_not_there_is_an_error_that_names_its_neighbours():
    with pytest.raises(ConfigError, match=r"no leaf 'projektion'.*did you mean projection"):
        profile(preset("hubert-tiny"), {"projektion": W1A1})


@pytest.mark.parametrize("n_samples", [-1, 0, 399, MAX_SAMPLES + 1])
def test_a_clip_that_cannot_be_profiled_is_an_error(n_samples):
    with pytest.raises(ConfigError, match=f"n_samples={n_samples}; give 400"):
        profile(preset("hubert-tiny"), n_samples=n_samples)


def test_a_day_of_audio_is_profiled_without_its_memory():
    t = frames_of(MAX_SAMPLES)[-1]
    attention = macs_by_part(preset("hubert-tiny"), MAX_SAMPLES)["attention products"]
    assert attention == 3 * 2 * t * t * 96


def test_profiling_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    profile(preset("hubert-tiny"))
    assert torch.equal(torch.random.get_rng_state(), before)
