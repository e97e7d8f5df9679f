"""Ops of recurrent and x-vector heads, judged by PyTorch and by numpy in double precision."""

import numpy as np
import pytest
import torch
from packed_reference import float_rows, run_one

from earbit import _core

SIZES = [(1, 1), (3, 7), (16, 40), (64, 200)]


def gates_and_lstm(d_hidden, n_frames, seed):
    torch.manual_seed(seed)
    lstm = torch.nn.LSTM(d_hidden, d_hidden, batch_first=True).double()
    x = torch.randn(1, n_frames, d_hidden, dtype=torch.float64)
    gates = x[0] @ lstm.weight_ih_l0.T + lstm.bias_ih_l0 + lstm.bias_hh_l0
    return gates.detach().numpy().astype(np.float32), lstm, x


@pytest.mark.parametrize(("d_hidden", "n_frames"), SIZES)
@pytest.mark.parametrize("reverse", [0, 1])
def test_an_lstm_is_that_of_pytorch_in_either_direction(d_hidden, n_frames, reverse):
    gates, lstm, x = gates_and_lstm(d_hidden, n_frames, seed=d_hidden)
    weight = lstm.weight_hh_l0.detach().numpy().astype(np.float32)
    turned = x.flip(1) if reverse else x
    with torch.no_grad():
        expected = lstm(turned)[0]
    expected = (expected.flip(1) if reverse else expected)[0].numpy()
    y = run_one("lstm", gates, ints={"reverse": reverse}, tensors={"weight": weight})
    assert y.shape == (n_frames, d_hidden)
    assert np.abs(y - expected).max() <= 3e-6


def test_an_lstm_stays_finite_where_gates_are_extreme():
    gates = np.float32([[1e30, -1e30, 1e30, 1e30], [-1e30, 1e30, -1e30, 1e30]])
    y = run_one("lstm", gates, ints={"reverse": 0}, tensors={"weight": np.zeros((4, 1), "f4")})
    assert y[:, 0] == pytest.approx([np.tanh(1), np.tanh(1)], abs=1e-6)


@pytest.mark.parametrize("n_threads", [2, 5])
def test_threads_change_no_bit(n_threads):
    gates, lstm, _ = gates_and_lstm(20, 90, seed=1)
    program = _core.Program()
    rows = float_rows(program, 80)
    weight = {"weight": lstm.weight_hh_l0.detach().numpy().astype(np.float32)}
    y = program.add("lstm", [rows], {"reverse": 1}, {}, weight)
    deviation = program.add("deviation_frames", [y], {}, {"eps": 1e-5}, {})
    alone = program.run(gates.ravel(), [y, deviation], 1)
    together = program.run(gates.ravel(), [y, deviation], n_threads)
    assert [a.tobytes() for a in alone] == [b.tobytes() for b in together]


@pytest.mark.parametrize("centre", [0.0, 1000.0])
@pytest.mark.parametrize("shape", [(1, 1), (63, 5), (1000, 33)])
def test_the_deviation_is_that_of_every_column_also_far_from_zero(shape, centre):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) + np.float32(centre)
    y = run_one("deviation_frames", x, floats={"eps": 1e-5})
    assert y.shape == (1, shape[1])
    assert np.abs(y[0] - np.sqrt(x.astype(float).var(0) + 1e-5)).max() <= 1e-6


def test_columns_that_are_not_four_gates_and_a_wrong_weight_are_refused():
    program = _core.Program()
    five, eight = float_rows(program, 5), float_rows(program, 8)
    with pytest.raises(ValueError, match="lstm of 5 columns; they must be a multiple of 4"):
        program.add("lstm", [five], {"reverse": 0}, {}, {"weight": np.zeros((5, 1), "f4")})
    with pytest.raises(ValueError, match=r"expected float32 \(8, 2\)"):
        program.add("lstm", [eight], {"reverse": 0}, {}, {"weight": np.zeros((8, 3), "f4")})
    with pytest.raises(ValueError, match="eps"):
        program.add("deviation_frames", [five], {}, {"eps": 0.0}, {})
