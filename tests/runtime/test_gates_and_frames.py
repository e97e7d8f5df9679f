"""Gates, sinusoids and repeated frames."""

import numpy as np
import pytest
import torch
from packed_reference import float_rows, run_one

from earbit import _core
from earbit.nn.relative_attention import relative_positions


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_silu_is_exact_to_two_millionths():
    x = np.linspace(-60, 60, 200_003, dtype=np.float32)[:, None]
    expected = x.astype(float) * sigmoid(x.astype(float))
    error = np.abs(run_one("silu", x) - expected)
    assert (error <= 1e-6 * np.maximum(1, np.abs(expected))).all()


def test_gates_of_large_numbers_are_open_or_closed():
    large = np.float32([-3e38, -1e6, -200.0, 0.0, 200.0, 1e6, 3e38])
    y = run_one("glu", np.concatenate([np.full(7, 2, np.float32), large])[None])
    assert np.allclose(y[0], [0, 0, 0, 1, 2, 2, 2], rtol=1e-6, atol=1e-30)
    y = run_one("silu", large[None])
    assert np.allclose(y[0], [0, 0, 0, 0, 200, 1e6, 3e38], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("shape", [(1, 2), (5, 6), (67, 130), (200, 288)])
def test_glu_equals_torch(shape):
    x = 3 * np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    expected = torch.nn.functional.glu(torch.from_numpy(x).double(), -1).numpy()
    assert np.abs(run_one("glu", x, threads=2) - expected).max() <= 2e-6


def test_glu_of_an_odd_number_of_columns_is_refused():
    with pytest.raises(ValueError, match="glu of 3 columns"):
        run_one("glu", np.zeros((2, 3), np.float32))


@pytest.mark.parametrize("d_model", [1, 7, 64, 144])
@pytest.mark.parametrize("n_frames", [1, 2, 65, 500])
def test_sinusoids_are_those_of_the_model(n_frames, d_model):
    step = torch.arange(0, d_model, 2).float()
    frequency = torch.exp(step * (-np.log(10_000.0) / d_model)).numpy()
    program = _core.Program()
    tensors = {"frequency": frequency}
    table = program.add("sinusoids", [0], {"columns": d_model}, {}, tensors)
    (found,) = program.run(np.zeros(n_frames, np.float32), [table], 2)
    expected = relative_positions(n_frames, d_model, torch.device("cpu"), torch.float32)
    assert found.shape == (2 * n_frames - 1, d_model)
    assert np.abs(found - expected.numpy()).max() <= 3e-7


def add_sinusoids(program, value):
    tensors = {"frequency": np.ones(1, np.float32)}
    return program.add("sinusoids", [value], {"columns": 1}, {}, tensors)


def test_rows_of_sinusoids_are_not_doubled_again():
    program = _core.Program()
    table = add_sinusoids(program, 0)
    follows = program.add("relu", [table], {}, {}, {})
    cut = program.add("repeat", [0, follows], {"times": 2}, {}, {})
    for value in (table, follows, cut):
        with pytest.raises(ValueError, match=f"value {value} follow from sinusoids already"):
            add_sinusoids(program, value)


def test_sinusoids_of_frames_that_saw_other_sinusoids_are_allowed():
    program = _core.Program()
    n, table = 7, add_sinusoids(program, 0)
    biases = {name: np.zeros(1, np.float32) for name in ("content_bias", "position_bias")}
    floats = {"score_scale": 1.0}
    seen = program.add("relative_attention_f32", [0, 0, 0, table], {"heads": 1}, floats, biases)
    cut = program.add("repeat", [table, seen], {"times": 1}, {}, {})
    tables = [add_sinusoids(program, value) for value in (seen, cut)]
    assert [len(y) for y in program.run(np.ones(n, np.float32), tables, 1)] == [2 * n - 1] * 2


@pytest.mark.parametrize(
    ("n_rows", "times", "n_frames"), [(1, 1, 1), (7, 2, 13), (7, 2, 14), (3, 5, 11)]
)
def test_repeated_frames_end_where_the_second_value_does(n_rows, times, n_frames):
    x = np.random.default_rng(2).standard_normal((n_frames, 3)).astype(np.float32)
    program = _core.Program()
    rows = float_rows(program, 3)
    ints = {"kernel": 1, "stride": times, "pad_left": 0, "pad_right": 0}
    every = program.add("depthwise_f32", [rows], ints, {}, {"weight": np.ones((3, 1), np.float32)})
    y = program.add("repeat", [every, rows], {"times": times}, {}, {})
    found, kept = program.run(x.ravel(), [y, every], 2)
    assert len(kept) == n_rows
    assert np.array_equal(found, np.repeat(kept, times, axis=0)[:n_frames])


def test_more_frames_than_repetitions_make_are_refused():
    program = _core.Program()
    rows = float_rows(program, 1)
    ints = {"kernel": 1, "stride": 3, "pad_left": 0, "pad_right": 0}
    every = program.add("depthwise_f32", [rows], ints, {}, {"weight": np.ones((1, 1), np.float32)})
    y = program.add("repeat", [every, rows], {"times": 2}, {}, {})
    with pytest.raises(ValueError, match="repeat of 4 frames, 2 times, to 10"):
        program.run(np.zeros(10, np.float32), [y], 1)
