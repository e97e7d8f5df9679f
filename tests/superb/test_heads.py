import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from earbit.errors import ConfigError
from earbit.heads.head import HeadShape, WeightedSum
from earbit.heads.linear import FrameLinear, MeanPoolLinear
from earbit.heads.lstm import run_lstm
from earbit.heads.recurrent import Blstm, FrameLstm
from earbit.heads.table import HEADS
from earbit.heads.xvector import XVector
from earbit.upstream.batches import collate


def head(n_states=3, width=8, n_outputs=4, kind=MeanPoolLinear, d_hidden=256):
    torch.manual_seed(0)
    shape = HeadShape(n_states=n_states, width=width, n_outputs=n_outputs, d_hidden=d_hidden)
    return kind(shape).eval()


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


def real(outputs, n_frames):
    """Outputs of a clip without padding: all, or those of its frames."""
    return outputs[:n_frames] if outputs.dim() == 2 else outputs


@pytest.mark.parametrize("kind", HEADS.values(), ids=HEADS)
@settings(max_examples=20, deadline=None)
@given(n_frames=st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_a_clip_in_a_batch_gives_what_it_gives_alone(kind, n_frames):
    module = head(kind=kind, d_hidden=16)
    clips = {str(i): clip(n, seed=i) for i, n in enumerate(n_frames)}
    batch = module(*collate(clips, list(clips)))
    for row, i, n in zip(batch, clips, n_frames, strict=True):
        alone = module(*collate(clips, [i]))[0]
        torch.testing.assert_close(real(row, n), real(alone, n), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("rubbish", [1e6, -1.0, 3e30])
@pytest.mark.parametrize("kind", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("n_frames", [3, 16])
def test_what_finite_value_stands_in_the_padding_does_not_matter(kind, rubbish, n_frames):
    module = head(kind=kind, d_hidden=16)
    states_LBTD, lengths = collate({"a": clip(n_frames, 0), "b": clip(22, 1)}, ["a", "b"])
    clean = module(states_LBTD, lengths)
    states_LBTD[:, 0, n_frames:] = rubbish
    spoilt = module(states_LBTD, lengths)
    for row, expected, n in zip(spoilt, clean, lengths.tolist(), strict=True):
        assert torch.equal(real(row, n), real(expected, n))


def test_a_head_without_outputs_is_an_error():
    with pytest.raises(ConfigError, match="n_outputs=0"):
        HeadShape(n_states=1, width=1, n_outputs=0)


def sizes(module):
    return {name: tuple(p.shape) for name, p in module.named_parameters()}


def test_the_published_recurrent_head_is_two_bidirectional_lstms_of_1024():
    got = sizes(head(n_states=13, width=768, n_outputs=32, kind=Blstm, d_hidden=1_024))
    assert got["projection.weight"] == (1_024, 768)
    assert got["output.weight"] == (32, 2_048)
    lstm = sum(np.prod(s) for name, s in got.items() if name.startswith("lstm"))
    # Per direction: 4 gates x (inputs + 1,024 outputs + 2 biases) x 1,024.
    assert lstm == 2 * 4 * 1_024 * (1_024 + 1_024 + 2) + 2 * 4 * 1_024 * (2_048 + 1_024 + 2)


def test_the_published_head_of_diarization_is_one_lstm_of_512_without_a_projection():
    got = sizes(head(n_states=13, width=768, n_outputs=2, kind=FrameLstm, d_hidden=512))
    assert got == {
        "layers.logits": (13,),
        "lstm.weight_ih_l0": (2_048, 768),
        "lstm.weight_hh_l0": (2_048, 512),
        "lstm.bias_ih_l0": (2_048,),
        "lstm.bias_hh_l0": (2_048,),
        "output.weight": (2, 512),
        "output.bias": (2,),
    }


def test_the_published_x_vector_has_layers_of_512_512_512_512_1500_and_two_of_512():
    got = sizes(head(n_states=13, width=768, n_outputs=1_211, kind=XVector, d_hidden=512))
    weights = {name: shape for name, shape in got.items() if not name.endswith("bias")}
    assert weights == {
        "layers.logits": (13,),
        "projection.weight": (512, 768),
        "context.0.weight": (512, 512, 5),
        "context.1.weight": (512, 512, 3),
        "context.2.weight": (512, 512, 3),
        "context.3.weight": (512, 512, 1),
        "context.4.weight": (1_500, 512, 1),
        "embedding.weight": (512, 3_000),
        "second.weight": (512, 512),
        "speakers": (1_211, 512),
    }


@pytest.mark.parametrize(
    ("kind", "shape"), [(Blstm, (2, 9, 4)), (FrameLstm, (2, 9, 4)), (XVector, (2, 16))]
)
def test_shapes_of_the_outputs(kind, shape):
    module = head(kind=kind, d_hidden=16)
    assert module(*collate({"a": clip(3, 0), "b": clip(9, 1)}, ["a", "b"])).shape == shape


def test_a_one_way_lstm_reads_no_future_and_a_two_way_one_does():
    x = clip(12, 0)
    later = x.copy()
    later[:, 8:] += 1
    for kind, is_equal in ((FrameLstm, True), (Blstm, False)):
        module = head(kind=kind, d_hidden=16)
        first, second = (module(*collate({"a": a}, ["a"]))[0, :8] for a in (x, later))
        assert torch.allclose(first, second) is is_equal


def lstm_by_hand(x_TD, w_ih, w_hh, b_ih, b_hh):
    """Hochreiter and Schmidhuber 1997, gates in PyTorch's order: input, forget, cell, output."""
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    h = c = np.zeros(w_hh.shape[1])
    rows = []
    for x in x_TD:
        i, f, g, o = np.split(w_ih @ x + b_ih + w_hh @ h + b_hh, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        rows.append(h)
    return np.stack(rows)


def test_the_head_of_diarization_is_the_lstm_of_the_equations_on_the_weighted_sum():
    module, x = head(kind=FrameLstm, d_hidden=5), clip(7, 0)
    weights = [p.detach().double().numpy() for p in module.lstm.parameters()]
    w, b = (t.detach().double().numpy() for t in module.output.parameters())
    expected = lstm_by_hand(x.astype(np.float64).mean(0), *weights) @ w.T + b
    got = module(*collate({"a": x}, ["a"]))[0].detach().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_x_vector_is_what_its_layers_say_frame_by_frame():
    """The layers are linear maps of the frames t - 2 to t + 2, of t - 2, t, t + 2, and so on."""
    module, x = head(kind=XVector, d_hidden=6), clip(20, 3)
    get = lambda t: t.detach().double().numpy()  # noqa: E731
    h_TD = x.astype(np.float64).mean(0) @ get(module.projection.weight).T
    h_TD = h_TD + get(module.projection.bias)
    for layer, offsets in zip(
        module.context, [(-2, -1, 0, 1, 2), (-2, 0, 2), (-3, 0, 3), (0,), (0,)], strict=True
    ):
        w, b = get(layer.weight), get(layer.bias)
        reach = offsets[-1]
        h_TD = np.stack(
            [
                np.maximum(sum(w[:, :, k] @ h_TD[t + o] for k, o in enumerate(offsets)) + b, 0)
                for t in range(reach, len(h_TD) - reach)
            ]
        )
    assert len(h_TD) == 20 - 14
    pooled = np.concatenate([h_TD.mean(0), np.sqrt(h_TD.var(0) + 1e-5)])
    w, b = get(module.embedding.weight), get(module.embedding.bias)
    got = module(*collate({"a": x}, ["a"]))[0].detach().numpy()
    np.testing.assert_allclose(got, np.maximum(w @ pooled + b, 0), atol=1e-5)


@pytest.mark.parametrize("n_frames", [1, 14, 15, 16])
def test_an_x_vector_of_a_short_clip_is_finite_and_has_a_gradient(n_frames):
    module = head(kind=XVector, d_hidden=16).train()
    embedding_BD = module(*collate({"a": clip(n_frames, 0)}, ["a"]))
    module.cosines(embedding_BD).square().sum().backward()
    assert embedding_BD.isfinite().all()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_cosines_of_the_speakers_lie_between_minus_one_and_one():
    module = head(kind=XVector, d_hidden=16)
    embedding_BD = module(*collate({"a": clip(20, 0)}, ["a"]))
    cosines_BC = module.cosines(embedding_BD)
    assert cosines_BC.shape == (1, 4)
    assert cosines_BC.abs().max() <= 1 + 1e-6
    assert torch.allclose(module.cosines(embedding_BD), cosines_BC)


def test_features_are_masked_in_training_and_left_alone_in_evaluation():
    module = head(kind=Blstm, width=8, d_hidden=16)
    batch = collate({"a": clip(40, 0)}, ["a"])
    assert torch.equal(module(*batch), module(*batch))
    module.train()
    assert not torch.equal(module(*batch), module(*batch))
    module.dropout.p, module.lstm.dropout = 0.0, 0.0
    assert not torch.equal(module(*batch), module(*batch))


@pytest.mark.parametrize(("n_layers", "is_two_way"), [(1, False), (2, True)])
def test_an_lstm_over_padded_clips_has_the_outputs_and_gradients_of_packed_sequences(
    n_layers, is_two_way
):
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(5, 4, n_layers, batch_first=True, bidirectional=is_two_way)
    lengths = torch.tensor([3, 9, 1, 6])
    x = torch.randn(4, 9, 5)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(lstm(packed)[0], batch_first=True)[0]
    got = run_lstm(lstm, x, lengths)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)
    weights = list(lstm.parameters())
    direction = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad((got * direction).sum(), weights),
        torch.autograd.grad((expected * direction).sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
