"""Every 8-bit kernel that this CPU runs, held against numpy's integers."""

import numpy as np
import pytest

from earbit import _core

ISAS = [k["isa"] for k in _core.kernels() if k["op"] == "gemm_i8" and k["available"]]
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15, 16, 17, 31, 63, 64, 65, 97, 129)
DEPTHS = (1, 2, 3, 4, 5, 6, 7, 8, 11, 31, 32, 33, 64, 127)
WIDEST = 65_793  # (2^31 - 1) // (255 * 128)


def products(a, w):
    return a.astype(np.int64) @ w.T.astype(np.int64)


@pytest.mark.parametrize("isa", ISAS)
def test_sums_equal_numpy_on_random_shapes(isa):
    random = np.random.default_rng(7)
    for _ in range(200):
        n_rows, n_cols = random.choice(SIZES, 2)
        n_k = random.choice(DEPTHS)
        a = random.integers(0, 256, (n_rows, n_k), dtype=np.uint8)
        w = random.integers(-128, 128, (n_cols, n_k), dtype=np.int8)
        sums = _core.gemm_i8_sums(a, w, isa)
        assert sums.dtype == np.int32
        assert np.array_equal(sums, products(a, w)), (n_rows, n_cols, n_k)


@pytest.mark.parametrize("isa", ISAS)
def test_pairs_of_the_largest_codes_do_not_saturate(isa):
    # Where two products share 16 bits, 2 * 255 * 127 is too large.
    for weight in (-128, -127, 127):
        a, w = np.full((7, 9), 255, np.uint8), np.full((70, 9), weight, np.int8)
        assert np.array_equal(_core.gemm_i8_sums(a, w, isa), np.full((7, 70), 9 * 255 * weight))


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("isa", ISAS)
def test_no_sum_overflows_at_the_widest_window(isa, weight):
    a, w = np.full((2, WIDEST), 255, np.uint8), np.full((2, WIDEST), weight, np.int8)
    sums = _core.gemm_i8_sums(a, w, isa)
    assert np.array_equal(sums, np.full((2, 2), WIDEST * 255 * weight))


@pytest.mark.parametrize("isa", ISAS)
def test_every_single_code_is_multiplied_where_it_lies(isa):
    eye = np.eye(67)
    sums = _core.gemm_i8_sums((200 * eye).astype(np.uint8), (-100 * eye).astype(np.int8), isa)
    assert np.array_equal(sums, -20_000 * eye)


@pytest.mark.parametrize(("n_rows", "n_cols", "n_k"), [(0, 3, 2), (3, 0, 2), (0, 0, 0), (3, 3, 0)])
@pytest.mark.parametrize("isa", ISAS)
def test_empty_operands_give_empty_or_zero_sums(isa, n_rows, n_cols, n_k):
    a, w = np.zeros((n_rows, n_k), np.uint8), np.zeros((n_cols, n_k), np.int8)
    assert np.array_equal(_core.gemm_i8_sums(a, w, isa), np.zeros((n_rows, n_cols)))


def test_a_code_more_in_one_operand_is_an_error_with_both_lengths():
    a, w = np.zeros((2, 3), np.uint8), np.zeros((2, 4), np.int8)
    with pytest.raises(ValueError, match=r"3.*4"):
        _core.gemm_i8_sums(a, w, "scalar")
