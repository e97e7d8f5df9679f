"""The Squeezeformer against its published sizes, and its U-Net against plain arithmetic."""

import pytest
import torch
from torch.nn import functional as F

from earbit.encoders.squeezeformer import (
    SqueezeformerConfig,
    SqueezeformerEncoder,
    TimeReduction,
)
from earbit.errors import ConfigError

# layers, width, heads, reduce before, recover before, millions of parameters
PUBLISHED = {
    "XS": (16, 144, 4, 7, 15, 9.03),
    "S": (18, 196, 4, 8, 17, 18.57),
    "SM": (16, 256, 4, 7, 15, 28.18),
    "M": (20, 324, 4, 9, 19, 55.62),
    "ML": (18, 512, 8, 8, 17, 125.0),
    "L": (22, 640, 8, 10, 21, 236.3),
}


def config(n_layers=4, d_model=32, n_heads=4, reduce_before=1, recover_before=3, **rest):
    return SqueezeformerConfig(
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        d_ffn=4 * d_model,
        reduce_before=reduce_before,
        recover_before=recover_before,
        position_kernel=None,
        **rest,
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones_with_the_original_input_and_output(name):
    n_layers, d, n_heads, reduce_before, recover_before, millions = PUBLISHED[name]
    with torch.device("meta"):
        encoder = SqueezeformerEncoder(config(n_layers, d, n_heads, reduce_before, recover_before))
    n_parameters = sum(p.numel() for p in encoder.parameters())
    # Two 3x3 convolutions with stride 2 over 80 mel bands, the second separable; a linear layer
    # from 20 bands of d channels; a layer norm.
    subsampling = (9 * d + d) + (9 * d + d) + (d * d + d) + (20 * d * d + d) + 2 * d
    # And the recogniser's output, 128 sentence pieces.
    output = 128 * d + 128
    digits = 1 if millions > 100 else 2
    assert round((n_parameters + subsampling + output) / 1e6, digits) == millions


@pytest.mark.parametrize("n_frames", [1, 2, 3, 10, 11, 50])
def test_reduction_sees_every_second_frame_and_four_after_it(n_frames):
    torch.manual_seed(0)
    reduction = TimeReduction(8)
    x = torch.randn(2, n_frames, 8)
    got = reduction(x)
    n_half = -(-n_frames // 2)
    assert got.shape == (2, n_half, 8)
    kernel = reduction.depthwise.weight[:, 0]
    behind = F.pad(x, (0, 0, 0, 8))
    for t in range(n_half):
        seen = behind[:, 2 * t : 2 * t + 5]
        mixed = (seen * kernel.T).sum(1) + reduction.depthwise.bias
        assert torch.allclose(got[:, t], reduction.pointwise(mixed), atol=1e-5)


@pytest.mark.parametrize("n_frames", [1, 2, 7, 20])
def test_all_hidden_states_have_a_vector_per_frame(n_frames):
    encoder = SqueezeformerEncoder(config()).eval()
    states = encoder(torch.randn(2, n_frames, 32))
    assert [tuple(state.shape) for state in states] == [(2, n_frames, 32)] * 5
    # Between reduction and recovery two neighbours share a vector.
    for state in states[2:4]:
        assert torch.equal(state[:, : n_frames // 2 * 2 : 2], state[:, 1::2])


def test_what_was_before_the_reduction_is_added_after_the_recovery():
    encoder = SqueezeformerEncoder(config()).eval()
    with torch.no_grad():
        encoder.recovery.weight.zero_()
        encoder.recovery.bias.zero_()
        x = torch.randn(1, 9, 32)
        states = encoder(x)
        assert torch.equal(states[-1], encoder.layers[3](states[1]))


@pytest.mark.parametrize(("first", "last"), [(3, 3), (3, 1), (-1, 2), (0, 4)])
def test_a_u_net_that_does_not_close_is_refused(first, last):
    with pytest.raises(ConfigError, match=f"reduce_before={first}, recover_before={last}"):
        config(reduce_before=first, recover_before=last)
