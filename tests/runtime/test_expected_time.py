"""The expected time of long runs, from times that are known."""

import numpy as np
import pytest

from earbit.runtime import expected_time as module
from earbit.runtime.expected_time import LONG_SAMPLES, expected_time


class FakeSession:
    """Notes the lengths that it is given."""

    def __init__(self):
        self.lengths = []

    def run(self, waveform):
        self.lengths.append(len(waveform))


@pytest.fixture
def takes(monkeypatch):
    """Lets a run of n samples take the time of a formula."""

    def set_formula(formula):
        def time_s(session, waveform):
            session.run(waveform)
            return formula(len(waveform))

        monkeypatch.setattr(module, "_time_s", time_s)

    return set_formula


@pytest.mark.parametrize(("linear", "square"), [(1e-7, 0.0), (1e-7, 2e-13), (0.0, 1e-12)])
@pytest.mark.parametrize("minutes", [2, 120])
def test_both_parts_are_found_from_two_pieces(takes, linear, square, minutes):
    takes(lambda n: linear * n + square * n**2)
    n_samples = minutes * 60 * 16_000
    expected = expected_time(FakeSession(), np.zeros(n_samples, np.float32), 0.0)
    assert expected.linear_s == pytest.approx(linear * n_samples, rel=1e-6, abs=1e-6)
    assert expected.square_s == pytest.approx(square * n_samples**2, rel=1e-6, abs=1e-6)


def test_noise_in_the_times_gives_no_negative_part(takes):
    takes(lambda n: 1.0)
    expected = expected_time(FakeSession(), np.zeros(LONG_SAMPLES, np.float32), 0.0)
    assert expected.square_s == 0
    assert expected.total_s == pytest.approx(LONG_SAMPLES / 64_000)


def test_short_audio_is_not_measured():
    session = FakeSession()
    assert expected_time(session, np.zeros(LONG_SAMPLES - 1, np.float32), 0.0) is None
    assert session.lengths == []


@pytest.mark.parametrize(("minutes", "most"), [(2, 1 / 14), (10, 1 / 26), (60, 1 / 30)])
def test_the_pieces_are_a_small_part_of_the_audio(takes, minutes, most):
    takes(lambda n: 1.0)
    session, n_samples = FakeSession(), minutes * 60 * 16_000
    assert expected_time(session, np.zeros(n_samples, np.float32), 60.0) is not None
    assert sum(session.lengths) < n_samples * most


def test_one_piece_of_two_seconds_is_run_where_the_least_time_cannot_be_reached(takes):
    # Two minutes are 60 times two seconds; all quadratic, that is 3,600 times the time.
    waveform = np.zeros(120 * 16_000, np.float32)
    for first_s, lengths in ((59 / 3600, [32_000]), (61 / 3600, [32_000, 32_000, 64_000])):
        takes(lambda n, s=first_s: s * (n / 32_000) ** 2)
        session = FakeSession()
        expected = expected_time(session, waveform, 60.0)
        assert session.lengths == lengths
        assert expected is None or expected.total_s == pytest.approx(61.0)


def test_a_slow_first_run_alone_leads_to_no_long_piece(monkeypatch):
    times = iter([1.0, 1e-3])
    monkeypatch.setattr(module, "_time_s", lambda session, waveform: next(times))
    assert expected_time(FakeSession(), np.zeros(LONG_SAMPLES, np.float32), 60.0) is None
