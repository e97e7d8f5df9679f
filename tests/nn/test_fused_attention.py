"""Float attention runs PyTorch's fused kernel, unless something observes its products."""

import pytest
import torch
from torch.nn import functional as F

from earbit.nn.attention import SelfAttention
from earbit.nn.precision import W1A1
from earbit.nn.relative_attention import RelativeAttention
from earbit.nn.window_attention import WindowAttention
from earbit.quantize.convert import convert


def window(d_model, n_heads, dropout):
    return WindowAttention(d_model, n_heads, dropout, left_frames=4)


KINDS = [SelfAttention, RelativeAttention, window]
LENGTHS = torch.tensor([23, 9])


def attention(kind):
    torch.manual_seed(0)
    block = kind(32, 4, 0.0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return block


@pytest.fixture
def fused_calls(monkeypatch):
    calls = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or fused(*a, **k)
    )
    return calls


def unfused(block, x, lengths):
    handles = [m.register_forward_hook(lambda *_: None) for m in (block.scores, block.context)]
    try:
        return block(x, lengths)
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
@pytest.mark.parametrize("kind", KINDS)
def test_fused_attention_equals_its_two_products_forward_and_backward(kind, lengths, fused_calls):
    # In float64, where another order of sums is far below any fault.
    block = attention(kind).double()
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(2, 23, 32, generator=draw, dtype=torch.float64, requires_grad=True)
    results = []
    for run in (block, lambda *args: unfused(block, *args)):
        y = run(x, lengths)
        real = y if lengths is None else torch.cat([y[0, :23], y[1, :9]])
        gradients = torch.autograd.grad(real.square().sum(), [x, *block.parameters()])
        results.append((real, *gradients))
    assert len(fused_calls) == 1
    # The gradient of the keys' bias is zero but for rounding, so sizes are those of all.
    largest = max(float(plain.detach().abs().max()) for plain in results[1])
    for fused, plain in zip(*results, strict=True):
        assert torch.allclose(fused, plain, rtol=1e-10, atol=1e-12 * largest)


@pytest.mark.parametrize("leaf", ["scores", "context"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_quantized_or_observed_product_is_never_fused(kind, leaf, fused_calls):
    quantized = attention(kind)
    convert(quantized, {leaf: W1A1})
    observed, seen = attention(kind), []
    getattr(observed, leaf).register_forward_pre_hook(lambda *_: seen.append(1))
    with_gradient_hook = attention(kind)
    getattr(with_gradient_hook, leaf).register_full_backward_pre_hook(lambda *_: None)
    for block in (quantized, observed, with_gradient_hook):
        block(torch.randn(1, 7, 32))
    assert not fused_calls
    assert seen == [1]


@pytest.mark.parametrize("kind", [SelfAttention, window])
def test_padding_does_not_change_the_result_of_a_short_row(kind):
    block = attention(kind).eval()
    x = torch.randn(2, 23, 32)
    alone = block(x[1:, :9])
    assert torch.allclose(block(x, LENGTHS)[1, :9], alone[0], atol=1e-5)


def test_a_frame_without_a_real_frame_in_its_window_gets_zeros_and_finite_gradients(fused_calls):
    block = attention(window)
    q, k, v = (torch.randn(2, 4, 40, 8, requires_grad=True) for _ in range(3))
    y = block.attend(q, k, v, torch.tensor([40, 9]))
    assert len(fused_calls) == 1
    # The window ends 4 frames after the query, and row 1 has 9 real frames.
    assert (y[1] == 0).all(-1).any(0).tolist() == [False] * 13 + [True] * 27
    for gradient in torch.autograd.grad(y.square().sum(), (q, k, v)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", [SelfAttention, window])
def test_dropout_is_applied_in_training_alone(kind, monkeypatch):
    rates = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F,
        "scaled_dot_product_attention",
        lambda q, k, v, mask, dropout, **kw: (
            rates.append(dropout) or fused(q, k, v, mask, dropout, **kw)
        ),
    )
    block = kind(32, 4, 0.25)
    block.train()(torch.randn(1, 5, 32))
    block.eval()(torch.randn(1, 5, 32))
    assert rates == [0.25, 0.0]
