import pytest
import torch

from earbit.errors import ConfigError
from earbit.nn import window_attention
from earbit.nn.attention import SelfAttention
from earbit.nn.precision import W1A1
from earbit.nn.window_attention import WindowAttention, window_pairs
from earbit.quantize.calibrate import quantizers_of
from earbit.quantize.convert import convert


def window_mask(n_frames, left, right):
    distance = torch.arange(n_frames) - torch.arange(n_frames)[:, None]
    return (distance >= -left) & (distance <= right)


def dense_window(q, k, v, left, lengths, right=None):
    """The masked dense product: what window attention must equal."""
    n = q.shape[-2]
    index = torch.arange(n)
    allowed = window_mask(n, left, left if right is None else right)[None, None]
    if lengths is not None:
        allowed = allowed & (index < lengths[:, None])[:, None, None, :]
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=1.0)


@pytest.mark.parametrize("n_frames", [1, 2, 5, 31, 32, 33, 100, 131])
@pytest.mark.parametrize(("left", "right"), [(0, 0), (1, 1), (3, 3), (16, 16), (32, 0), (8, 3)])
def test_blocks_equal_the_masked_dense_product(n_frames, left, right):
    torch.manual_seed(n_frames * 100 + left)
    attention = WindowAttention(32, 2, 0.0, left, right)
    q, k, v = torch.randn(3, 2, 2, n_frames, 16)
    lengths = torch.tensor([n_frames, max(1, n_frames // 2)])
    got = attention.attend(q, k, v, lengths)
    expected = dense_window(q, k, v, left, lengths, right)
    for i, n in enumerate(lengths.tolist()):
        assert torch.allclose(got[i, :, :n], expected[i, :, :n], atol=1e-5)


def test_gradients_equal_those_of_the_masked_dense_product():
    torch.manual_seed(0)
    attention = WindowAttention(32, 2, 0.0, 4)
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


@pytest.mark.parametrize(
    ("n_frames", "left", "right"),
    [(1, 0, 0), (1, 16, 16), (6, 1, 1), (50, 16, 16), (10, 99, 99), (20, 5, 0), (9, 0, 30)],
)
def test_pairs_are_those_of_the_mask(n_frames, left, right):
    by_query = window_mask(n_frames, left, right).sum(1)
    assert window_pairs(n_frames, left, right) == int(by_query.sum())
    for first in range(n_frames):
        for end in range(first, n_frames + 1):
            expected = int(by_query[first:end].sum())
            assert window_pairs(n_frames, left, right, first, end - first) == expected


@pytest.mark.parametrize(("n_frames", "window"), [(1, 9), (20, 9), (45, 9), (45, 40), (30, 100)])
def test_the_pattern_of_a_call_marks_every_real_element_once_and_ends_with_the_call(
    n_frames, window
):
    attention = WindowAttention(16, 2, 0.0, window // 2)
    seen = {}
    for name in ("scores", "context"):
        getattr(attention, name).register_forward_hook(
            lambda leaf, args, y, name=name: seen.update({name: (leaf.pattern, args, y)})
        )
    attention(torch.randn(1, n_frames, 16))
    for name, (pattern, (left, right), y) in seen.items():
        is_left, is_right = (
            mark.expand_as(x)[0, 0] for mark, x in ((pattern.left, left), (pattern.right, right))
        )
        n_pairs = window_pairs(n_frames, window // 2, window // 2)
        assert pattern.n_pairs == n_pairs
        assert pattern.is_left_sparse == (name == "context")
        assert int(is_left.sum()) == (n_frames * 8 if name == "scores" else n_pairs)
        assert int(is_right.sum()) == n_frames * 8
        if name == "context":
            assert int(pattern.results().expand_as(y)[0, 0].sum()) == n_frames * 8
    assert attention.scores.pattern is None
    assert attention.context.pattern is None


def test_the_pattern_of_a_call_that_fails_is_forgotten():
    attention = WindowAttention(16, 2, 0.0, 4)
    attention.context.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        attention(torch.randn(1, 20, 16))
    assert attention.context.pattern is None


def test_chunks_have_together_the_pairs_of_the_whole(short_chunks):
    attention = WindowAttention(32, 2, 0.0, 4)
    pairs = []
    attention.scores.register_forward_hook(lambda leaf, *_: pairs.append(leaf.pattern.n_pairs))
    attention(torch.randn(1, 100, 32))
    assert len(pairs) == 4
    assert sum(pairs) == window_pairs(100, 4, 4)


def test_no_matrix_grows_with_the_square_of_the_frames():
    attention = WindowAttention(16, 1, 0.0, 16)
    sizes = []
    attention.scores.register_forward_hook(lambda m, a, y: sizes.append(y.numel()))
    totals = []
    for n_frames in (320, 3200):
        sizes.clear()
        attention(torch.randn(1, n_frames, 16))
        totals.append(sum(sizes))
    assert totals[1] == 10 * totals[0]


@pytest.mark.parametrize("n_frames", [1, 2, 10, 50])
def test_a_window_beyond_the_audio_costs_no_more_than_a_few_dense_products(n_frames):
    attention = WindowAttention(16, 1, 0.0, 2**18)
    sizes = []
    attention.scores.register_forward_hook(lambda m, a, y: sizes.append(y.numel()))
    attention(torch.randn(1, n_frames, 16))
    assert sum(sizes) <= 3 * n_frames**2


@pytest.fixture
def short_chunks(monkeypatch):
    monkeypatch.setattr(window_attention, "LONG_FRAMES", 32)
    monkeypatch.setattr(window_attention, "CHUNK_FRAMES", 32)


@pytest.mark.parametrize("n_frames", [33, 64, 65, 100, 131])
@pytest.mark.parametrize(
    ("left", "right"), [(0, 0), (3, 3), (16, 16), (40, 40), (20, 0), (32, 5), (0, 9)]
)
def test_long_audio_in_chunks_equals_the_masked_dense_product(n_frames, left, right, short_chunks):
    torch.manual_seed(n_frames * 100 + left)
    attention = WindowAttention(32, 2, 0.0, left, right)
    x = torch.randn(3, 2, 2, n_frames, 16, dtype=torch.double)
    lengths = torch.tensor([n_frames, n_frames // 2])
    is_real = (torch.arange(n_frames) < lengths[:, None])[:, None, :, None]
    sides = []
    for run in (
        lambda q, k, v: attention.attend(q, k, v, lengths),
        lambda q, k, v: dense_window(q, k, v, left, lengths, right),
    ):
        leaf = x.clone().requires_grad_()
        y = torch.where(is_real, run(*leaf), 0.0)
        y.square().sum().backward()
        sides.append((y.detach(), leaf.grad))
    for ours, theirs in zip(*sides, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-10)


def test_what_a_chunk_computes_again_drops_the_same_probabilities(short_chunks):
    torch.manual_seed(0)
    attention = WindowAttention(32, 2, 0.5, 4)
    q, k, v = (torch.randn(1, 2, 100, 16, dtype=torch.double).requires_grad_() for _ in range(3))
    y = attention.attend(q, k, v, None)
    weight = torch.randn_like(y)
    (y * weight).sum().backward()
    # The output is linear in v as long as the same probabilities are dropped.
    assert torch.allclose((v * v.grad).sum(), (y * weight).sum(), atol=1e-9)


def test_a_one_bit_product_in_chunks_is_the_same(short_chunks, monkeypatch):
    torch.manual_seed(0)
    attention = WindowAttention(32, 2, 0.0, 4)
    convert(attention, {"scores": W1A1, "context": W1A1})
    q, k, v = torch.randn(3, 1, 2, 100, 16)
    in_chunks = attention.attend(q.requires_grad_(), k, v, None)
    monkeypatch.setattr(window_attention, "LONG_FRAMES", 100)
    assert torch.equal(in_chunks, attention.attend(q, k, v, None))


@pytest.mark.parametrize("n_frames", [96, 97, 100, 131])
def test_gradients_of_one_bit_products_in_chunks_are_those_of_the_whole(
    n_frames, short_chunks, monkeypatch
):
    torch.manual_seed(0)
    attention = WindowAttention(32, 2, 0.0, 4)
    convert(attention, {"scores": W1A1, "context": W1A1})
    x = torch.randn(3, 1, 2, n_frames, 16, dtype=torch.double)
    weight = torch.randn(1, 2, n_frames, 16, dtype=torch.double)
    sides = []
    for long_frames in (32, n_frames):
        monkeypatch.setattr(window_attention, "LONG_FRAMES", long_frames)
        attention.zero_grad()
        leaf = x.clone().requires_grad_()
        (attention.attend(*leaf, None) * weight).sum().backward()
        scales = [q.scale for q in quantizers_of(attention).values()]
        assert len(scales) == 4
        sides.append([leaf.grad, *(scale.grad.clone() for scale in scales)])
    for ours, theirs in zip(*sides, strict=True):
        assert theirs.abs().max() > 0
        assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_autocast_goes_through_chunks(dtype, short_chunks):
    torch.manual_seed(0)
    attention = WindowAttention(32, 2, 0.0, 4)
    x = torch.randn(1, 100, 32, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        y = attention(x)
    y.float().square().mean().backward()
    in_full = torch.autograd.grad(attention(x).square().mean(), x)[0]
    assert y.dtype == dtype
    assert torch.nn.functional.cosine_similarity(x.grad.flatten(), in_full.flatten(), dim=0) > 0.99


@pytest.mark.slow
@pytest.mark.skipif(" " in torch.__file__, reason="PyTorch cannot link in a folder with a space")
@pytest.mark.parametrize("plan", [{}, {"scores": W1A1, "context": W1A1}], ids=["fp32", "w1a1"])
def test_chunks_can_be_compiled(plan, short_chunks):
    torch.manual_seed(0)
    attention = WindowAttention(32, 2, 0.0, 4)
    convert(attention, plan)
    x = torch.randn(1, 100, 32)
    sides = []
    torch.compiler.reset()
    for run in (attention, torch.compile(attention)):
        attention.zero_grad()
        leaf = x.clone().requires_grad_()
        run(leaf).square().sum().backward()
        sides.append([leaf.grad, *(p.grad.clone() for p in attention.parameters())])
    for ours, theirs in zip(*sides, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_chunk_holds_on_to_nothing_but_the_operands(short_chunks):
    attention = WindowAttention(32, 2, 0.0, 4)
    q, k, v = (torch.randn(1, 2, 300, 16).requires_grad_() for _ in range(3))
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        attention.attend(q, k, v, None)
    assert [x.data_ptr() for x in saved] == [x.data_ptr() for x in (q, k, v)]


def test_a_window_wider_than_the_audio_is_full_attention():
    torch.manual_seed(0)
    window = WindowAttention(32, 2, 0.0, 500)
    full = SelfAttention(32, 2, 0.0)
    full.load_state_dict(window.state_dict())
    x = torch.randn(2, 40, 32)
    assert torch.allclose(window(x), full(x), atol=1e-6)


def test_a_window_of_zero_is_refused():
    with pytest.raises(ConfigError, match="left_frames=-1"):
        WindowAttention(16, 1, 0.0, -1)
