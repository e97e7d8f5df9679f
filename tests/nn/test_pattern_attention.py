"""The patterns of Child et al. against the masked dense product, pair by pair."""

import pytest
import torch

from earbit.errors import ConfigError
from earbit.nn.pattern_attention import FixedAttention, StridedAttention

LENGTHS = [1, 2, 7, 8, 9, 15, 16, 17, 40, 61]


def build(kind, heads="merged", stride=8, d_model=24, n_heads=3):
    more = {"expressivity": 3} if kind is FixedAttention else {}
    return kind(d_model, n_heads, 0.0, stride=stride, heads=heads, **more)


def near_and_far(attention, n):
    """The definitions, pair by pair."""
    i, j = torch.arange(n)[:, None], torch.arange(n)
    stride = attention.stride
    if isinstance(attention, FixedAttention):
        is_summary = j % stride >= stride - attention.expressivity
        return i // stride == j // stride, is_summary.expand(n, n)
    return (i - j).abs() <= stride, (i - j) % stride == 0


def dense(attention, q, k, v, lengths):
    n, n_heads = q.shape[-2], q.shape[1]
    near, far = near_and_far(attention, n)
    if attention.heads == "merged":
        by_head = (near | far).expand(n_heads, n, n)
    else:
        half = n_heads // 2
        by_head = torch.stack([near] * half + [far] * (n_heads - half))
    allowed = by_head & (torch.arange(n) < lengths[:, None])[:, None, None]
    scores = (q @ k.transpose(-1, -2)).masked_fill(~allowed, float("-inf"))
    return torch.nan_to_num(scores.softmax(-1)) @ v  # no key at all: zeros


@pytest.mark.parametrize("heads", ["merged", "split"])
@pytest.mark.parametrize("kind", [FixedAttention, StridedAttention])
@pytest.mark.parametrize("n_frames", LENGTHS)
def test_blocks_equal_the_masked_dense_product(n_frames, kind, heads):
    torch.manual_seed(n_frames)
    attention = build(kind, heads)
    q, k, v = torch.randn(3, 2, 3, n_frames, 8)
    lengths = torch.tensor([n_frames, max(1, n_frames // 2)])
    got, expected = attention.attend(q, k, v, lengths), dense(attention, q, k, v, lengths)
    for i, n in enumerate(lengths.tolist()):
        assert torch.allclose(got[i, :, :n], expected[i, :, :n], atol=1e-5)


@pytest.mark.parametrize("heads", ["merged", "split"])
@pytest.mark.parametrize("kind", [FixedAttention, StridedAttention])
def test_gradients_equal_those_of_the_masked_dense_product(kind, heads):
    torch.manual_seed(0)
    attention = build(kind, heads)
    x = torch.randn(3, 1, 3, 45, 8, dtype=torch.double)
    length = torch.tensor([45])
    sides = []
    for run in (
        lambda q, k, v: attention.attend(q, k, v, None),
        lambda q, k, v: dense(attention, q, k, v, length),
    ):
        leaf = x.clone().requires_grad_()
        run(*leaf).square().sum().backward()
        sides.append(leaf.grad)
    assert torch.allclose(*sides, atol=1e-10)


@pytest.mark.parametrize("kind", [FixedAttention, StridedAttention])
@pytest.mark.parametrize("n_frames", LENGTHS)
def test_pairs_are_those_that_a_loop_finds(n_frames, kind):
    attention = build(kind)
    near, far = near_and_far(attention, n_frames)
    counted = attention.n_pairs(n_frames)
    assert counted == (int(near.sum()), int((far & ~near).sum()))
    split = build(kind, "split").n_pairs(n_frames)
    assert split == (int(near.sum()), int(far.sum()))


@pytest.mark.parametrize(
    ("kind", "n_frames", "stride", "percent"),
    [
        (StridedAttention, 499, 32, 15.2),
        (StridedAttention, 1499, 32, 7.2),
        (FixedAttention, 499, 32, 28.8),
        (FixedAttention, 1499, 32, 26.4),
    ],
)
def test_densities_are_those_of_the_catalogue(kind, n_frames, stride, percent):
    more = {"expressivity": 8} if kind is FixedAttention else {}
    attention = kind(24, 3, 0.0, stride=stride, heads="merged", **more)
    n_pairs = sum(attention.n_pairs(n_frames))
    assert round(100 * n_pairs / n_frames**2, 1) == percent


@pytest.mark.parametrize("kind", [FixedAttention, StridedAttention])
def test_no_matrix_has_all_pairs(kind):
    attention = build(kind, stride=32)
    sizes = []
    for leaf in (attention.scores, attention.far_scores):
        leaf.register_forward_hook(lambda m, a, y: sizes.append(y.numel()))
    n_frames = 1024
    attention(torch.randn(1, n_frames, 24))
    assert sum(sizes) < 3 * n_frames**2 / 5


def test_split_heads_need_two_heads():
    with pytest.raises(ConfigError, match="n_heads=1"):
        build(StridedAttention, "split", n_heads=1)


@pytest.mark.parametrize("heads", ["merged", "split"])
@pytest.mark.parametrize("kind", [FixedAttention, StridedAttention])
@pytest.mark.parametrize("n_frames", [1, 5, 30])
def test_a_stride_beyond_the_audio_costs_no_more_than_a_few_dense_products(n_frames, kind, heads):
    attention = build(kind, heads, stride=2**16)
    sizes = []
    for product in (attention.scores, attention.far_scores):
        product.register_forward_hook(lambda m, a, y: sizes.append(y.numel()))
    attention(torch.randn(1, n_frames, 24))
    assert sum(sizes) <= 4 * 3 * n_frames**2
