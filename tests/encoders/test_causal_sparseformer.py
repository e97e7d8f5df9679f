import pytest
import torch

from earbit.config import from_dict, override, to_dict
from earbit.encoders.sparseformer import SpanConfig, SparseformerConfig
from earbit.errors import ConfigError
from earbit.load import random_model
from earbit.nn.positional import PositionalConv
from earbit.presets import preset

SHAPE = {"n_layers": 3, "d_model": 32, "n_heads": 2, "d_ffn": 64, "position_kernel": 8}


@pytest.mark.parametrize("kernel", [1, 2, 7, 8])
@pytest.mark.parametrize("norm", ["weight", "batch"])
def test_a_causal_position_depends_on_no_later_frame(kernel, norm):
    torch.manual_seed(0)
    conv = PositionalConv(16, kernel, norm, is_causal=True).eval()
    x = torch.randn(1, 20, 16)
    changed = x.clone()
    changed[:, 12:] = 5.0
    is_equal = (conv(x) == conv(changed)).all(-1)[0]
    assert is_equal.tolist() == [True] * 12 + [False] * 8
    # A frame reads `kernel` frames, itself among them.
    changed = x.clone()
    changed[:, 3] += 1.0
    is_equal = (conv(x) == conv(changed)).all(-1)[0]
    assert is_equal.logical_not().nonzero().flatten().tolist() == list(range(3, 3 + kernel))


@pytest.mark.parametrize(
    ("name", "n_frames"), [("sparseformer-stream-tiny", 14), ("sparseformer-stream-s", 15)]
)
def test_a_preset_looks_ahead_by_the_sum_of_its_layers(name, n_frames):
    model = random_model(preset(name), 0).eval()
    wave = torch.randn(1, 32_000)
    # Frame 30 reads samples up to 30 x 320 + 479, and those of the frames ahead.
    n_read = (30 + n_frames) * 320 + 480
    late, early = (wave.clone() for _ in range(2))
    late[:, n_read:] = 0
    early[:, n_read - 320 :] = 0
    with torch.no_grad():
        last, of_late, of_early = (model(x).states[-1][0, 30] for x in (wave, late, early))
    assert torch.equal(last, of_late)
    assert not torch.equal(last, of_early)


def test_windows_are_given_for_all_layers_or_for_each():
    config = SparseformerConfig(**SHAPE, window=SpanConfig(left=7, right=(0, 2, 0)))
    assert config.spans() == [(7, 0), (7, 2), (7, 0)]
    assert SparseformerConfig(**SHAPE).spans() == [(16, 16)] * 3
    stream = preset("sparseformer-stream-tiny")
    changed = override(stream, ["encoder.window.right=0"])
    assert changed.encoder.spans() == [(32, 0)] * 4
    assert from_dict(type(stream), to_dict(stream)) == stream


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("encoder.window.right=[1,2]", "window.right has 2 numbers for n_layers=4"),
        ("encoder.window.left=-1", "left=-1"),
        ("encoder.window.left=[1,1,1,-2]", "left=-2"),
        ('encoder.window.left="all"', "allowed: a whole number or a list or null"),
    ],
)
def test_a_window_that_does_not_fit_is_refused(setting, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        override(preset("sparseformer-stream-tiny"), [setting])


def test_a_symmetric_window_adds_nothing_to_the_digest():
    fields = to_dict(preset("sparseformer-dn-tiny").encoder, without_later=True)
    assert not {"window", "position"} & fields.keys()
