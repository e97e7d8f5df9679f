"""Whole models against counters that are not ours; docs/cost.md has the differences.

t frames, d width, e width of the feed-forward, c channels, h heads.
"""

import logging
from collections import Counter
from pathlib import Path

import pytest
import torch
from by_hand import macs_by_kind, profile
from fvcore.nn import FlopCountAnalysis

from earbit.model import AudioModel
from earbit.presets import preset


def fvcore_macs(name, n_samples, monkeypatch):
    """MACs of the features by kind of operation (it calls them flops)."""
    monkeypatch.setattr(logging.getLogger("fvcore.nn.jit_analysis"), "disabled", True)

    class Features(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AudioModel(preset(name)).eval()

        def forward(self, wave_BN):
            return self.model(wave_BN).states[-1]

    return FlopCountAnalysis(Features(), torch.zeros(1, n_samples)).by_operator()


@pytest.mark.parametrize("name", ["hubert-tiny", "conformer-tiny", "squeezeformer-tiny"])
def test_fvcore_counts_one_frame_more_in_the_positions_and_agrees_in_all_else(name, monkeypatch):
    theirs = fvcore_macs(name, 32_000, monkeypatch)
    ours = macs_by_kind(preset(name), 32_000)
    d = preset(name).encoder.d_model
    # The frame that the positional convolution drops.
    dropped = d * (d // 16) * 128
    assert theirs["conv"] == ours["conv1d"] + dropped
    assert theirs["linear"] == ours["linear"]
    assert theirs["matmul"] == ours["matmul"]
    total = theirs["conv"] + theirs["linear"] + theirs["matmul"]
    assert total == pytest.approx(sum(ours.values()), rel=1e-3)


def test_fvcore_counts_whole_blocks_of_a_window_where_we_count_its_pairs(monkeypatch):
    theirs = fvcore_macs("sparseformer-dn-tiny", 32_000, monkeypatch)
    ours = macs_by_kind(preset("sparseformer-dn-tiny"), 32_000)
    # 4 blocks of 32 queries, each with 64 keys, two products in each of 4 layers of width 64.
    assert theirs["matmul"] == 4 * 2 * (4 * 32 * 64) * 64
    assert ours["matmul"] < theirs["matmul"] / 2
    assert theirs["linear"] == ours["linear"]


DEEPSPEED = {
    "hubert-base": (74_066_523_136, 148_315_815_936),
    "hubert-tiny": (750_252_480, 1_517_315_264),
    "conformer-s": (31_126_624_768, 62_411_994_720),
    "squeezeformer-xs": (29_392_679_584, 58_934_389_824),
    "sparseformer-dn-s": (26_796_436_480, 53_725_175_136),
}
"""MACs and FLOPs of 10 s by DeepSpeed 0.19.8, as `benchmarks/deepspeed_flops.py` prints them."""

DENSE = [name for name in DEEPSPEED if not name.startswith("sparse")]
T = 499


def dropped_frame_macs(name):
    d = preset(name).encoder.d_model
    return d * (d // 16) * 128


def masked_pairs(name):
    """16 blocks of 32 queries with 64 keys each, instead of 33 pairs a frame less the ends."""
    return 0 if name in DENSE else 16 * 32 * 64 - (T * 33 - 16 * 17)


def more_macs(name):
    """Two products of width d in each layer at every masked pair."""
    encoder = preset(name).encoder
    return dropped_frame_macs(name) + masked_pairs(name) * 2 * encoder.d_model * encoder.n_layers


@pytest.mark.parametrize("name", DEEPSPEED)
def test_deepspeed_counts_the_dropped_frame_and_whole_blocks_and_agrees_in_all_other_macs(name):
    assert DEEPSPEED[name][0] == profile(preset(name)).total.macs + more_macs(name)


@pytest.mark.parametrize("name", DENSE)
def test_macs_of_dense_models_are_those_of_deepspeed_to_a_thousandth(name):
    assert profile(preset(name)).total.macs == pytest.approx(DEEPSPEED[name][0], rel=1e-3)


def transformer_layer(t, d, e, softmax):
    return {
        "biases of linears": t * (4 * d + e + d),
        # Two sums; q is scaled.
        "operators": 2 * t * d + t * d,
        "softmax": softmax,
    }


def relative_attention(t, d, h):
    """Operators, and functions for the table of the distances, which has 2 t - 1 rows."""
    half_table = (2 * t - 1) * d // 2
    # Both biases on q, and both scalings; the two kinds of scores; steps and angles of the table.
    operators = 2 * t * d + 2 * t * d + h * t * t + d // 2 + half_table
    return operators, d // 2 + 2 * half_table


def conformer_layer(t, d, e, h):
    operators, functions = relative_attention(t, d, h)
    return {
        "biases of linears": t * (2 * (e + d) + 4 * d + 2 * d + d),
        # Four sums; both feed-forwards are halved.
        "operators": operators + 4 * t * d + 2 * t * d,
        "softmax": h * t * t,
        "glu": 2 * t * d,
        "exp, sin and cos": functions,
    }


def squeezeformer_layer(t, d, e, h):
    operators, functions = relative_attention(t, d, h)
    return {
        "biases of linears": t * (2 * (e + d) + 4 * d + 2 * d + d),
        # Four parts, each with a scale, a shift and a sum.
        "operators": operators + 4 * 3 * t * d,
        "softmax": h * t * t,
        "exp, sin and cos": functions,
    }


def unseen_flops(name):
    """FLOPs of ours that DeepSpeed does not see, by name."""
    config, t = preset(name), T
    c, encoder = config.front_end.n_channels, config.encoder
    d, e, h, n_layers = encoder.d_model, encoder.d_ffn, encoder.n_heads, encoder.n_layers
    # The projection's bias; the sum behind the positions; squares, their mean, the mean of those.
    around = {
        "biases of linears": t * d,
        "operators": t * d,
        "square and mean": 2 * t * c + t,
    }
    layers = {
        "hubert": lambda: [transformer_layer(t, d, e, h * t * t)] * n_layers,
        "conformer": lambda: [conformer_layer(t, d, e, h)] * n_layers,
        # Eight blocks at 250 frames, a linear before them; one and a sum behind them.
        "squeezeformer": lambda: [
            *[squeezeformer_layer(t, d, e, h)] * (n_layers - 8),
            *[squeezeformer_layer(250, d, e, h)] * 8,
            {"biases of linears": 250 * d + t * d, "operators": t * d},
        ],
        # Over whole blocks, as it is computed.
        "sparseformer": lambda: [transformer_layer(t, d, e, h * 16 * 32 * 64)] * n_layers,
    }
    unseen = Counter(around)
    for layer in layers[name.split("-")[0]]():
        unseen.update(layer)
    return unseen


@pytest.mark.parametrize("name", DEEPSPEED)
def test_flops_without_what_deepspeed_does_not_see_are_its_own_to_the_last_integer(name):
    ours, unseen = profile(preset(name)).total.flops, sum(unseen_flops(name).values())
    bias_of_dropped_frame = preset(name).encoder.d_model
    assert DEEPSPEED[name][1] == ours - unseen + 2 * more_macs(name) + bias_of_dropped_frame
    if name in DENSE:
        assert ours - unseen == pytest.approx(DEEPSPEED[name][1], rel=1e-3)


@pytest.mark.parametrize("name", [name for name in DEEPSPEED if not name.endswith("tiny")])
def test_the_documentation_has_the_integers_of_every_difference(name):
    text = (Path(__file__).parents[2] / "docs" / "cost.md").read_text(encoding="utf-8")
    total = profile(preset(name)).total
    for number in (*DEEPSPEED[name], total.macs, total.flops, *unseen_flops(name).values()):
        assert f"{number:,}" in text
