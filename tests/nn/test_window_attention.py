import pytest
import torch

from earbit.errors import ConfigError
from earbit.nn.attention import SelfAttention
from earbit.nn.window_attention import WindowAttention, window_pairs


def dense_window(q, k, v, radius, lengths):
    """The masked dense product: what window attention must equal."""
    n = q.shape[-2]
    index = torch.arange(n)
    allowed = ((index[:, None] - index).abs() <= radius)[None, None]
    if lengths is not None:
        allowed = allowed & (index < lengths[:, None])[:, None, None, :]
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=1.0)


@pytest.mark.parametrize("n_frames", [1, 2, 5, 31, 32, 33, 100, 131])
@pytest.mark.parametrize("window", [1, 3, 7, 32])
def test_blocks_equal_the_masked_dense_product(n_frames, window):
    torch.manual_seed(n_frames * 100 + window)
    attention = WindowAttention(32, 2, 0.0, window)
    q, k, v = torch.randn(3, 2, 2, n_frames, 16)
    lengths = torch.tensor([n_frames, max(1, n_frames // 2)])
    got = attention.attend(q, k, v, lengths)
    expected = dense_window(q, k, v, window // 2, lengths)
    for i, n in enumerate(lengths.tolist()):
        assert torch.allclose(got[i, :, :n], expected[i, :, :n], atol=1e-5)


def test_gradients_equal_those_of_the_masked_dense_product():
    torch.manual_seed(0)
    attention = WindowAttention(32, 2, 0.0, 9)
    x = torch.randn(3, 1, 2, 50, 16, dtype=torch.double)
    sides = []
    for run in (
        lambda q, k, v: attention.attend(q, k, v, None),
        lambda q, k, v: dense_window(q, k, v, 4, None),
    ):
        leaf = x.clone().requires_grad_()
        run(*leaf).square().sum().backward()
        sides.append(leaf.grad)
    assert torch.allclose(*sides, atol=1e-10)


@pytest.mark.parametrize(("n_frames", "radius"), [(1, 0), (1, 16), (6, 1), (50, 16), (10, 99)])
def test_pairs_are_those_of_the_mask(n_frames, radius):
    index = torch.arange(n_frames)
    assert window_pairs(n_frames, radius) == int(((index[:, None] - index).abs() <= radius).sum())


def test_no_matrix_grows_with_the_square_of_the_frames():
    attention = WindowAttention(16, 1, 0.0, 32)
    sizes = []
    attention.scores.register_forward_hook(lambda m, a, y: sizes.append(y.numel()))
    for n_frames in (320, 3200):
        attention(torch.randn(1, n_frames, 16))
    assert sizes[1] == 10 * sizes[0]


def test_a_window_wider_than_the_audio_is_full_attention():
    torch.manual_seed(0)
    window = WindowAttention(32, 2, 0.0, 1000)
    full = SelfAttention(32, 2, 0.0)
    full.load_state_dict(window.state_dict())
    x = torch.randn(2, 40, 32)
    assert torch.allclose(window(x), full(x), atol=1e-6)


def test_a_window_of_zero_is_refused():
    with pytest.raises(ConfigError, match="window_frames=0"):
        WindowAttention(16, 1, 0.0, 0)
