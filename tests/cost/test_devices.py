"""Estimates by hand: 2 operations per MAC over the rate of the unit that takes both operands."""

import pytest

from earbit.cost.devices import DEVICES, EstimatedTime, devices_named, estimate
from earbit.cost.op import Op
from earbit.errors import ConfigError
from earbit.nn.precision import FLOAT, W1A1, Precision


def product_of(n_macs: int, precision: Precision) -> Op:
    return Op(
        name="leaf",
        kind="linear",
        n_macs=n_macs,
        n_other_flops=10**15,
        precision=precision,
        out_elements=1,
    )


@pytest.mark.parametrize(
    ("precision", "tops"),
    [
        (W1A1, 4992),
        (Precision(1, 2), 1248),
        (Precision(2, 2), 1248),
        (Precision(4, 4), 1248),
        (Precision(4, 8), 624),
        (Precision(8, 8), 624),
        (Precision(1, 32), 19.5),
        (Precision(32, 1), 19.5),
        (FLOAT, 19.5),
    ],
    ids=str,
)
def test_the_wider_operand_chooses_the_unit(precision, tops):
    assert DEVICES["a100-fp32"].tops(precision) == tops


def test_only_the_float_rate_differs_between_the_three_baselines():
    assert [DEVICES[f"a100-{f}"].tops(FLOAT) for f in ("fp32", "tf32", "fp16")] == [19.5, 156, 312]
    assert {DEVICES[f"a100-{f}"].tops(W1A1) for f in ("fp32", "tf32", "fp16")} == {4992}


def test_products_add_up_and_nothing_else_counts():
    # 2 * 19.5 G / 19.5 T = 2 ms, and 2 * 2.496 T / 4992 T = 1 ms.
    ops = [product_of(19_500_000_000, FLOAT), product_of(2_496_000_000_000, W1A1)]
    time = estimate(ops, DEVICES["a100-fp32"])
    assert isinstance(time, EstimatedTime)
    assert time.device == "a100-fp32"
    assert time.ms == pytest.approx(3)


@pytest.mark.parametrize(
    ("precision", "macs_per_cycle"),
    # 2 pipes: 4 fp32 lanes each; 16 int8 products each; 128 one-bit products in three instructions.
    [(FLOAT, 2 * 4), (Precision(8, 8), 2 * 16), (Precision(1, 2), 2 * 16), (W1A1, 2 * 128 / 3)],
    ids=str,
)
def test_a_cortex_a76_does_what_its_two_pipes_start_in_a_cycle_of_2_4_ghz(
    precision, macs_per_cycle
):
    tops = DEVICES["cortex-a76"].tops(precision)
    assert tops == pytest.approx(2 * macs_per_cycle * 2.4e9 / 1e12)


def test_an_h200_runs_all_narrow_integers_in_8_bits():
    tops = {DEVICES["h200-fp32"].tops(p) for p in (W1A1, Precision(4, 4), Precision(8, 8))}
    assert tops == {1979}


def test_what_is_printed_of_a_cortex_a76_says_which_rates_are_not_from_its_own_guide():
    source = DEVICES["cortex-a76"].source
    own, other = source.split(";")[1:]
    assert "EOR and CNT" in own
    assert "Arm Cortex-A76 software optimisation guide" in own
    assert "FMLA, SDOT and UDOT" in other
    assert "LLVM's model of Neoverse N1" in other


def test_every_device_has_a_source():
    assert all(len(device.source) > 20 for device in DEVICES.values())


def test_an_unknown_device_is_an_error_that_names_its_neighbours():
    with pytest.raises(ConfigError, match=r"unknown device 'a100-fp8'.*a100-fp16"):
        devices_named(["h200-fp16", "a100-fp8"])
