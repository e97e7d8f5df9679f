"""Bits in a file, written out by hand; HuBERT Base against published sizes."""

import pytest
import torch

from earbit.cost.storage import n_parameters, owners, storage_bits
from earbit.model import AudioModel
from earbit.nn.leaves import Conv1d, Linear, MatMul
from earbit.nn.precision import FLOAT, W1A1, Precision
from earbit.presets import preset


@pytest.mark.parametrize(
    ("precision", "n_bits"),
    [
        (FLOAT, 16 * (30 + 5)),
        # Signs; a scale per output; the bias; a shift per input and one scale of the input.
        (W1A1, 30 + 16 * (5 + 5 + 6 + 1)),
        (Precision(4, 8), 4 * 30 + 16 * (5 + 5 + 6 + 1)),
        (Precision(8, 32), 8 * 30 + 16 * (5 + 5)),
        (Precision(32, 8), 16 * (30 + 5 + 6 + 1)),
    ],
    ids=str,
)
def test_a_linear_of_6_to_5_stores(precision, n_bits):
    assert storage_bits(Linear(6, 5), precision, rest_bits=16) == n_bits


def test_a_binary_convolution_has_one_shift_per_channel_of_all_groups():
    conv = Conv1d(8, 6, 3, groups=2, bias=False)
    assert storage_bits(conv, W1A1, rest_bits=32) == 6 * 4 * 3 + 32 * (6 + 8 + 1)


def test_a_binary_product_of_activations_has_two_scales():
    assert storage_bits(MatMul(), W1A1, rest_bits=32) == 64
    assert storage_bits(MatMul(), FLOAT, rest_bits=32) == 0


def test_weight_norm_is_stored_in_float_and_folded_in_one_bit():
    conv = torch.nn.utils.parametrizations.weight_norm(Conv1d(4, 6, 3), dim=2)
    # Directions, one gain per tap, biases.
    assert storage_bits(conv, FLOAT, rest_bits=32) == 32 * (6 * 4 * 3 + 3 + 6)
    assert storage_bits(conv, W1A1, rest_bits=32) == 72 + 32 * (6 + 6 + 4 + 1)


def test_every_parameter_has_one_owner_and_frozen_ones_do_not_train():
    model = torch.nn.Sequential(
        torch.nn.utils.parametrizations.weight_norm(Conv1d(4, 6, 3)), torch.nn.LayerNorm(6)
    )
    n_all = sum(p.numel() for p in model.parameters())
    assert sum(n_parameters(owner) for _, owner in owners(model)) == n_all
    model[1].requires_grad_(False)
    assert sum(n_parameters(owner) for _, owner in owners(model)) == n_all - 12


def megabytes(rest_bits: int, prefixes: tuple[str, ...]) -> float:
    """HuBERT Base with the leaves below the prefixes in W1A1."""
    with torch.device("meta"):
        model = AudioModel(preset("hubert-base"))
    n_bits = sum(
        storage_bits(owner, W1A1 if name.startswith(prefixes) else FLOAT, rest_bits)
        for name, owner in owners(model)
    )
    return n_bits / 8e6


def test_hubert_base_takes_377_5_mb_in_fp32_and_188_7_in_fp16():
    assert round(megabytes(32, ()), 1) == 377.5
    assert round(megabytes(16, ()), 1) == 188.7


def test_hubert_base_with_a_binary_encoder_takes_29_5_mb_and_its_scales_and_shifts():
    # Per layer: 5 leaves of width 768 and one of 3072 give scales, as many take shifts; six
    # linears have a scale of their input, two products have two.
    n_scales = 12 * (2 * (5 * 768 + 3072) + 6 + 4)
    scales_mb = 16 * n_scales / 8e6
    assert round(megabytes(16, ("encoder.layers",)) - scales_mb, 1) == 29.5


def test_hubert_base_with_binary_convolutions_too_takes_12_8_mb_and_its_scales_and_shifts():
    convs = tuple(f"front_end.convs.{i}" for i in range(1, 7))
    n_scales = 12 * (2 * (5 * 768 + 3072) + 6 + 4) + 6 * (512 + 512 + 1) + (768 + 768 + 1)
    # Weight norm is folded: its 128 gains are gone.
    scales_mb = 16 * (n_scales - 128) / 8e6
    total_mb = megabytes(16, ("encoder.layers", "encoder.position", *convs))
    assert round(total_mb - scales_mb, 1) == 12.8
