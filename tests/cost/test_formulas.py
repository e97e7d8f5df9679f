"""Every formula against arithmetic written out by hand or a loop over the products."""

from itertools import product

import pytest

from earbit.cost.formulas import (
    FREE,
    OTHER_FLOPS,
    LeafCall,
    conv1d_macs,
    leaf_other_flops,
    linear_macs,
    matmul_macs,
    needed_output,
)


def test_a_linear_of_3_to_5_over_two_rows_of_seven_frames_has_210_macs():
    call = LeafCall(inputs=((2, 7, 3),), weight=(5, 3), output=(2, 7, 5))
    assert linear_macs(call) == 2 * 7 * 3 * 5


def test_a_convolution_reads_its_group_and_its_taps_for_every_output():
    # 8 channels in 2 groups, 3 taps: 4 * 3 products for each of 6 channels and 10 frames.
    call = LeafCall(inputs=((1, 8, 12),), weight=(6, 4, 3), output=(1, 6, 10))
    assert conv1d_macs(call) == 6 * 10 * 4 * 3


def test_the_frame_that_an_even_kernel_makes_too_many_is_not_counted():
    # 9 frames, kernel 4, padding 2: 10 come out, one per input frame is used.
    call = LeafCall(
        inputs=((1, 6, 9),), weight=(6, 3, 4), output=(1, 6, 10), padding=2, has_bias=True
    )
    assert conv1d_macs(call) == 9 * 6 * 3 * 4
    assert leaf_other_flops(call) == 9 * 6


@pytest.mark.parametrize(
    ("n_in", "n_out", "kernel", "stride", "padding"),
    [(9, 9, 3, 1, 1), (9, 5, 3, 2, 1), (12, 10, 3, 1, 0), (12, 5, 4, 2, 0)],
)
def test_no_frame_of_an_odd_or_unpadded_kernel_is_left_out(n_in, n_out, kernel, stride, padding):
    assert n_out == (n_in + 2 * padding - kernel) // stride + 1
    call = LeafCall(
        inputs=((1, 2, n_in),),
        weight=(2, 2, kernel),
        output=(1, 2, n_out),
        stride=stride,
        padding=padding,
    )
    assert needed_output(call) == (1, 2, n_out)


def test_a_dense_product_of_two_heads_has_m_n_k_macs_each():
    call = LeafCall(inputs=((1, 2, 5, 3), (1, 2, 3, 7)), output=(1, 2, 5, 7))
    assert matmul_macs(call) == 2 * 5 * 7 * 3


def window(n_frames: int, radius: int) -> int:
    """Pairs of a window, one by one."""
    return sum(abs(q - k) <= radius for q, k in product(range(n_frames), repeat=2))


def test_a_sparse_pattern_counts_its_pairs_on_whichever_side_it_lies():
    # 3 heads of width 5; 11 frames in 3 blocks of 4 queries, each with 8 keys; radius 2.
    n_pairs = window(11, 2)
    assert n_pairs == 11 * 5 - 2 * 3
    scores = LeafCall(
        inputs=((2, 3, 3, 4, 5), (2, 3, 3, 5, 8)), output=(2, 3, 3, 4, 8), n_pairs=n_pairs
    )
    context = LeafCall(
        inputs=((2, 3, 3, 4, 8), (2, 3, 3, 8, 5)),
        output=(2, 3, 3, 4, 5),
        n_pairs=n_pairs,
        is_left_sparse=True,
    )
    assert matmul_macs(scores) == matmul_macs(context) == 2 * 3 * n_pairs * 5


def test_a_pattern_of_all_pairs_costs_as_much_as_the_dense_product():
    shapes = {"inputs": ((2, 3, 7, 5), (2, 3, 5, 7)), "output": (2, 3, 7, 7)}
    assert matmul_macs(LeafCall(**shapes, n_pairs=7 * 7)) == matmul_macs(LeafCall(**shapes))


def test_bias_costs_one_per_output_and_activation_one_per_input():
    shapes = {"inputs": ((2, 7, 3),), "weight": (5, 3), "output": (2, 7, 5)}
    assert leaf_other_flops(LeafCall(**shapes)) == 0
    assert leaf_other_flops(LeafCall(**shapes, has_bias=True)) == 70
    assert leaf_other_flops(LeafCall(**shapes, has_activation=True)) == 42
    assert leaf_other_flops(LeafCall(**shapes, has_bias=True, has_activation=True)) == 112


@pytest.mark.parametrize(
    ("operation", "inputs", "output", "n_flops"),
    [
        ("native_layer_norm", ((2, 7, 3), (3,), (3,)), (2, 7, 3), 5 * 42),
        ("native_layer_norm", ((2, 7, 3),), (2, 7, 3), 4 * 42),
        ("native_group_norm", ((2, 3, 7), (3,), (3,)), (2, 3, 7), 5 * 42),
        ("gelu", ((2, 7, 3),), (2, 7, 3), 42),
        ("_softmax", ((2, 7, 3),), (2, 7, 3), 42),
        ("add", ((2, 7, 3), (3,)), (2, 7, 3), 42),
        ("mul", ((3,), (2, 7, 3)), (2, 7, 3), 42),
        ("mean", ((2, 7, 3),), (2, 7), 42),
        ("sum", ((2, 7, 3),), (), 42),
    ],
)
def test_what_is_not_a_product_costs_what_the_convention_says(operation, inputs, output, n_flops):
    assert OTHER_FLOPS[operation](inputs, output) == n_flops


def test_no_operation_is_both_free_and_paid_for():
    assert not FREE & OTHER_FLOPS.keys()
