"""Whole models against counters that are not ours; docs/cost.md has the differences."""

import logging

import pytest
import torch
from by_hand import macs_by_part, profile
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
    ours = macs_by_part(preset(name), 32_000)
    d = preset(name).encoder.d_model
    # The frame that the positional convolution drops.
    dropped = d * (d // 16) * 128
    convolutions = ours["front end"] + ours["positions"] + ours["convolutions"]
    assert theirs["conv"] == convolutions + dropped
    assert theirs["linear"] == ours["linears"]
    assert theirs["matmul"] == ours["attention products"]
    total = theirs["conv"] + theirs["linear"] + theirs["matmul"]
    assert total == pytest.approx(sum(ours.values()), rel=1e-3)


def test_fvcore_counts_whole_blocks_of_a_window_where_we_count_its_pairs(monkeypatch):
    theirs = fvcore_macs("sparseformer-dn-tiny", 32_000, monkeypatch)
    ours = macs_by_part(preset("sparseformer-dn-tiny"), 32_000)
    # 4 blocks of 32 queries, each with 64 keys, two products in each of 4 layers of width 64.
    assert theirs["matmul"] == 4 * 2 * (4 * 32 * 64) * 64
    assert ours["attention products"] < theirs["matmul"] / 2
    assert theirs["linear"] == ours["linears"]


DEEPSPEED_MACS = {
    "hubert-base": 74_066_523_136,
    "hubert-tiny": 750_252_480,
    "conformer-s": 31_126_624_768,
    "squeezeformer-xs": 29_392_679_584,
    "sparseformer-dn-s": 26_796_436_480,
}
"""What the profiler of DeepSpeed 0.19.8 says of 10 s; docs/cost.md has the program."""


@pytest.mark.parametrize("name", DEEPSPEED_MACS)
def test_deepspeed_counts_the_dropped_frame_and_whole_blocks_and_agrees_in_all_else(name):
    d = preset(name).encoder.d_model
    expected = profile(preset(name)).total.macs + d * (d // 16) * 128
    if name == "sparseformer-dn-s":
        # 16 blocks of 32 queries with 64 keys each, instead of 33 pairs a frame less the ends.
        n_pairs = 499 * 33 - 16 * 17
        expected += (16 * 32 * 64 - n_pairs) * 2 * d * 16
    else:
        assert DEEPSPEED_MACS[name] == pytest.approx(profile(preset(name)).total.macs, rel=1e-3)
    assert DEEPSPEED_MACS[name] == expected


def test_flops_of_hubert_base_are_deepspeeds_and_what_it_does_not_see():
    t, d, e, n_layers = 499, 768, 3072, 12
    biases_of_linears = t * d + n_layers * t * (4 * d + e + d)
    softmax = n_layers * 12 * t * t
    # Two sums a layer and one behind the positions; q is scaled; mean square of the features.
    operators = (2 * n_layers + 1) * t * d + n_layers * t * d + 2 * t * 512 + t
    dropped_frame = 2 * d * (d // 16) * 128 + d
    unseen = biases_of_linears + softmax + operators
    assert profile(preset("hubert-base")).total.flops == 148_315_815_936 + unseen - dropped_frame
