"""The Squeezeformer against its published sizes, and its blocks and U-Net against plain arithmetic.

Letters: B batch, T frames, D width, H heads, K head width.
"""

from dataclasses import replace

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


States = dict[str, torch.Tensor]


def part_of(states: States, name: str) -> States:
    prefix = f"{name}."
    return {key.removeprefix(prefix): x for key, x in states.items() if key.startswith(prefix)}


def linear(x_BTD, states: States, name: str):
    return F.linear(x_BTD, states[f"{name}.weight"], states.get(f"{name}.bias"))


def attention_by_formula(x_BTD, states: States, n_heads: int):
    """`score(i, j) = [(q_i + u) k_j + (q_i + v) W r_(i-j)] / sqrt(K)`, one r for every pair."""
    n_frames, d_model = x_BTD.shape[1:]
    frame = torch.arange(n_frames)
    distance_TT = (frame[:, None] - frame).double()
    r_TTD = torch.empty(n_frames, n_frames, d_model, dtype=torch.double)
    for i in range(d_model):
        angle_TT = distance_TT / 10_000 ** ((i - i % 2) / d_model)
        r_TTD[..., i] = angle_TT.cos() if i % 2 else angle_TT.sin()
    q_BTHK, k_BTHK, v_BTHK = (
        linear(x_BTD, states, f"{name}_proj").unflatten(-1, (n_heads, -1)) for name in "qkv"
    )
    r_TTHK = linear(r_TTD, states, "position_proj").unflatten(-1, (n_heads, -1))
    by_content = torch.einsum("bihk,bjhk->bhij", q_BTHK + states["content_bias"], k_BTHK)
    by_position = torch.einsum("bihk,ijhk->bhij", q_BTHK + states["position_bias"], r_TTHK)
    scores = (by_content + by_position) / (d_model / n_heads) ** 0.5
    context_BTHK = torch.einsum("bhij,bjhk->bihk", scores.softmax(-1), v_BTHK)
    return linear(context_BTHK.flatten(-2), states, "out_proj")


def feed_forward_by_formula(x_BTD, states: States):
    return linear(F.silu(linear(x_BTD, states, "intermediate")), states, "output")


def convolution_by_formula(x_BTD, states: States, training: bool):
    x = F.silu(linear(x_BTD, states, "expand")).transpose(1, 2)
    kernel = states["depthwise.weight"]
    x = F.conv1d(
        x, kernel, states["depthwise.bias"], padding=kernel.shape[-1] // 2, groups=x.shape[1]
    )
    x = F.batch_norm(
        x,
        states["norm.running_mean"].clone(),
        states["norm.running_var"].clone(),
        states["norm.weight"],
        states["norm.bias"],
        training=training,
    )
    return linear(F.silu(x).transpose(1, 2), states, "project")


def block_by_formula(x_BTD, states: States, n_heads: int, training: bool = False):
    """`y = LN(x + part(scale x + shift))` for the four parts, attention first."""
    parts = {
        "attention": lambda x, s: attention_by_formula(x, s, n_heads),
        "first_feed_forward": feed_forward_by_formula,
        "convolution": lambda x, s: convolution_by_formula(x, s, training),
        "second_feed_forward": feed_forward_by_formula,
    }
    for name, part in parts.items():
        own = part_of(states, name)
        scaled = own["scale.scale"] * x_BTD + own["scale.shift"]
        y_BTD = x_BTD + part(scaled, part_of(own, "inner"))
        x_BTD = F.layer_norm(y_BTD, y_BTD.shape[-1:], own["norm.weight"], own["norm.bias"])
    return x_BTD


def position_by_formula(x_BTD, states: States):
    """HuBERT's positional convolution, 16 groups and one gain per tap, and the norm behind it."""
    gain = states["position.conv.parametrizations.weight.original0"]
    direction = states["position.conv.parametrizations.weight.original1"]
    kernel = gain * direction / direction.square().sum((0, 1), keepdim=True).sqrt()
    n_taps, n_frames = kernel.shape[-1], x_BTD.shape[1]
    position = F.conv1d(
        x_BTD.transpose(1, 2), kernel, states["position.conv.bias"], padding=n_taps // 2, groups=16
    )
    x_BTD = x_BTD + F.gelu(position[..., :n_frames].transpose(1, 2))
    return F.layer_norm(x_BTD, x_BTD.shape[-1:], states["norm.weight"], states["norm.bias"])


def stack_by_formula(x_BTD, states: States, shape: SqueezeformerConfig, training: bool = False):
    """The input and the output of every block, those at half the rate with every frame twice."""
    n_frames = x_BTD.shape[1]
    if shape.position_kernel is not None:
        x_BTD = position_by_formula(x_BTD, states)
    outputs, at_half = [x_BTD], False
    for i in range(shape.n_layers):
        if i == shape.reduce_before:
            saved, at_half = x_BTD, True
            # Zeros behind the end, enough for the last output's five frames.
            x_BDT = F.pad(x_BTD, (0, 0, 0, 4)).transpose(1, 2)
            kernel, bias = (states[f"reduction.depthwise.{name}"] for name in ("weight", "bias"))
            half_BDT = F.conv1d(x_BDT, kernel, bias, stride=2, groups=shape.d_model)
            n_half = (n_frames + 1) // 2
            x_BTD = linear(half_BDT[..., :n_half].transpose(1, 2), states, "reduction.pointwise")
        if i == shape.recover_before:
            at_half = False
            x_BTD = linear(twice(x_BTD, n_frames), states, "recovery") + saved
        x_BTD = block_by_formula(x_BTD, part_of(states, f"layers.{i}"), shape.n_heads, training)
        outputs.append(twice(x_BTD, n_frames) if at_half else x_BTD)
    return outputs


def twice(x_BTD, n_frames: int):
    return x_BTD[:, torch.arange(n_frames) // 2]


def random_encoder(shape: SqueezeformerConfig) -> SqueezeformerEncoder:
    """Without dropout, with nothing at its first value, in double precision."""
    torch.manual_seed(0)
    encoder = SqueezeformerEncoder(replace(shape, dropout=0.0, layer_drop=0.0)).double()
    for name, tensor in encoder.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            # Norms and scales stay around one, biases around zero.
            tensor.add_(torch.randn_like(tensor), alpha=0.3)
    return encoder


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("n_frames", [1, 2, 7, 12])
def test_a_block_equals_its_formulas(n_frames, training):
    encoder = random_encoder(config(conv_kernel=5)).train(training)
    block = encoder.layers[0]
    states = {name: tensor.clone() for name, tensor in block.state_dict().items()}
    x = torch.randn(2, n_frames, 32, dtype=torch.double)
    with torch.no_grad():
        got = block(x)
    expected = block_by_formula(x, states, n_heads=4, training=training)
    assert torch.allclose(got, expected, atol=1e-5)


STACKS = {
    "u-net": config(conv_kernel=5),
    "positions": replace(config(conv_kernel=3), position_kernel=6),
    "from the first": config(3, reduce_before=0, recover_before=2, conv_kernel=5),
}
every_stack = pytest.mark.parametrize("shape", STACKS.values(), ids=STACKS)


@every_stack
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("n_frames", [1, 2, 9, 12])
def test_a_stack_equals_its_formulas(n_frames, training, shape):
    encoder = random_encoder(shape).train(training)
    states = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    x = torch.randn(3, n_frames, 32, dtype=torch.double)
    with torch.no_grad():
        got = encoder(x)
    for a, b in zip(got, stack_by_formula(x, states, shape, training), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def padded(rows: list[torch.Tensor], n_frames: int) -> torch.Tensor:
    """A batch of rows (T, D), with 99 where none of them is."""
    batch = torch.full((len(rows), n_frames, rows[0].shape[1]), 99.0, dtype=torch.double)
    for i, row in enumerate(rows):
        batch[i, : row.shape[0]] = row
    return batch


@every_stack
@pytest.mark.parametrize("lengths", [(1, 8, 11), (12, 7, 2), (5, 5), (3,)], ids=str)
@pytest.mark.parametrize("n_more", [0, 3])
def test_every_row_of_a_padded_batch_equals_its_formulas_alone(lengths, n_more, shape):
    encoder = random_encoder(shape).eval()
    rows = [torch.randn(n, 32, dtype=torch.double) for n in lengths]
    with torch.no_grad():
        got = encoder(padded(rows, max(lengths) + n_more), torch.tensor(lengths))
    for i, row in enumerate(rows):
        expected = stack_by_formula(row[None], encoder.state_dict(), shape)
        for a, b in zip(got, expected, strict=True):
            assert torch.allclose(a[i, : len(row)], b[0], atol=1e-5)


@every_stack
def test_training_does_not_see_how_far_a_batch_is_padded(shape):
    encoder = random_encoder(shape).train()
    lengths = (8, 3, 5)
    rows = [torch.randn(n, 32, dtype=torch.double) for n in lengths]
    with torch.no_grad():
        short, long = (encoder(padded(rows, n), torch.tensor(lengths)) for n in (8, 13))
    for a, b in zip(short, long, strict=True):
        for i, n in enumerate(lengths):
            assert torch.allclose(a[i, :n], b[i, :n], atol=1e-5)
