"""Frames by hand: the first sees 400 samples, each further one begins 320 later."""

import re
from pathlib import Path

import pytest

from earbit import frames
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.runtime import waveform
from earbit.units.mfcc import WINDOW_SAMPLES

HEADER = Path(__file__).parents[1] / "csrc" / "capi" / "earbit.h"


@pytest.mark.parametrize(
    ("n_samples", "n_frames"),
    [(399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49), (160_000, 499)],
)
def test_frames_are_counted_as_by_hand(n_samples, n_frames):
    assert frames.n_frames_of(n_samples) == n_frames
    assert n_frames == (n_samples - 400) // 320 + 1


@pytest.mark.parametrize(("n_frames", "n_samples"), [(1, 400), (2, 720), (49, 15_760)])
def test_the_fewest_samples_of_some_frames_give_them_and_one_less_does_not(n_frames, n_samples):
    assert frames.n_samples_of(n_frames) == n_samples
    assert frames.n_frames_of(n_samples) == n_frames
    assert frames.n_frames_of(n_samples - 1) == n_frames - 1


def test_rate_and_hop_agree():
    assert frames.HOP_SAMPLES == 320
    assert frames.FRAME_RATE_HZ * frames.HOP_SAMPLES == SAMPLE_RATE_HZ


def test_the_runtime_and_its_header_refuse_what_has_no_frame():
    (in_header,) = re.findall(r"#define EARBIT_MIN_SAMPLES (\d+)", HEADER.read_text())
    assert waveform.MIN_SAMPLES == int(in_header) == frames.MIN_SAMPLES


def test_a_unit_sees_the_samples_that_a_frame_of_the_model_sees():
    assert WINDOW_SAMPLES == frames.MIN_SAMPLES
