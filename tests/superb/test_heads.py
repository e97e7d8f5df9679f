import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earbit.errors import ConfigError
from earbit.superb.heads.head import HeadShape, WeightedSum
from earbit.superb.heads.linear import FrameLinear, MeanPoolLinear
from earbit.superb.training import collate


def head(n_states=3, width=8, n_outputs=4, kind=MeanPoolLinear):
    torch.manual_seed(0)
    return kind(HeadShape(n_states=n_states, width=width, n_outputs=n_outputs)).eval()


def clip(n_frames, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, n_frames, 8)).astype(np.float32)


def test_weights_of_the_states_begin_equal():
    states_LBTD = torch.arange(24.0).view(3, 2, 2, 2)
    mixed_BTD = WeightedSum(3)(states_LBTD)
    assert torch.allclose(mixed_BTD, states_LBTD.mean(0))
    assert WeightedSum(3).shares() == pytest.approx([1 / 3] * 3)


def test_states_are_mixed_by_the_softmax_of_the_weights():
    layers = WeightedSum(2)
    with torch.no_grad():
        layers.logits.copy_(torch.tensor([0.0, 3.0]).exp().log())
    a, b = 1 / (1 + np.exp(3)), np.exp(3) / (1 + np.exp(3))
    states_LBTD = torch.tensor([10.0, 1.0]).view(2, 1, 1, 1)
    assert layers(states_LBTD).item() == pytest.approx(10 * a + b, rel=1e-6)
    assert layers.shares() == pytest.approx([a, b])


def test_mean_pool_linear_is_two_affine_maps_around_a_mean():
    module, x = head(), clip(5, seed=1)
    w1, b1 = (t.detach().double().numpy() for t in module.projection.parameters())
    w2, b2 = (t.detach().double().numpy() for t in module.output.parameters())
    expected = w2 @ (w1 @ x.astype(np.float64).mean(0).mean(0) + b1) + b2
    got = module(*collate({"a": x}, ["a"]))
    assert got.shape == (1, 4)
    np.testing.assert_allclose(got[0].detach().numpy(), expected, atol=1e-6)


def test_the_gradients_are_those_of_the_long_way_frame_by_frame():
    module = head()
    states_LBTD, lengths = collate({"a": clip(3, 0), "b": clip(9, 1)}, ["a", "b"])
    module(states_LBTD, lengths).square().sum().backward()
    got = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    rows = []
    for b, n in enumerate(lengths.tolist()):
        frames = [module.projection(module.layers(states_LBTD[:, b, t])) for t in range(n)]
        rows.append(module.output(torch.stack(frames).mean(0)))
    torch.stack(rows).square().sum().backward()
    for gradient, parameter in zip(got, module.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-5, rtol=1e-4)


def test_the_projection_is_256_wide():
    sizes = {name: tuple(p.shape) for name, p in head().named_parameters()}
    assert sizes == {
        "layers.logits": (3,),
        "projection.weight": (256, 8),
        "projection.bias": (256,),
        "output.weight": (4, 256),
        "output.bias": (4,),
    }


def test_frame_linear_is_two_affine_maps_of_every_frame():
    module, x = head(kind=FrameLinear), clip(5, seed=1)
    w1, b1 = (t.detach().double().numpy() for t in module.projection.parameters())
    w2, b2 = (t.detach().double().numpy() for t in module.output.parameters())
    expected = (x.astype(np.float64).mean(0) @ w1.T + b1) @ w2.T + b2
    got = module(*collate({"a": x}, ["a"]))
    assert got.shape == (1, 5, 4)
    np.testing.assert_allclose(got[0].detach().numpy(), expected, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(n_frames=st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_a_clip_in_a_batch_gives_what_it_gives_alone(n_frames):
    module = head()
    clips = {str(i): clip(n, seed=i) for i, n in enumerate(n_frames)}
    batch = module(*collate(clips, list(clips)))
    for row, i in zip(batch, clips, strict=True):
        alone = module(*collate(clips, [i]))[0]
        torch.testing.assert_close(row, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("rubbish", [1e6, -1.0, 3e38])
def test_what_finite_value_stands_in_the_padding_does_not_matter(rubbish):
    module = head()
    states_LBTD, lengths = collate({"a": clip(3, 0), "b": clip(9, 1)}, ["a", "b"])
    clean = module(states_LBTD, lengths)
    states_LBTD[:, 0, 3:] = rubbish
    assert torch.equal(module(states_LBTD, lengths), clean)


def test_a_head_without_outputs_is_an_error():
    with pytest.raises(ConfigError, match="n_outputs=0"):
        HeadShape(n_states=1, width=1, n_outputs=0)
