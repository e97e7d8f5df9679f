"""This CPU as a device: rates, not times; no rate is asserted."""

from earbit.cost.this_cpu import NAME, this_cpu
from earbit.cost.verb import profile_models
from earbit.nn.precision import FLOAT, W1A1, Precision


def test_what_this_runtime_has_no_kernel_for_runs_in_float():
    device = this_cpu()
    assert device.tops(W1A1) == device.tops_of[1] > 0
    for precision in (Precision(1, 2), Precision(8, 8)):
        assert device.tops(precision) == device.tops(FLOAT) == device.tops_of[32] > 0


def test_it_is_measured_only_when_it_is_named():
    text, (record,) = profile_models(["hubert-tiny"], seconds=1)
    assert NAME not in record["estimate_ms"]
    text, (record,) = profile_models(["hubert-tiny"], seconds=1, devices=[NAME])
    assert list(record["estimate_ms"]) == [NAME]
    assert "one thread" in record["sources"][NAME]
    assert "not measured" in text
