"""Whole models against a counter that is not ours; docs/cost.md has the differences."""

import logging

import pytest
import torch
from by_hand import macs_by_part
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
