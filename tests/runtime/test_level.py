"""Audio that is implausibly loud runs with a warning that says what to do."""

import warnings

import numpy as np
import pytest
from test_session import op, write

from earbit.runtime import Session
from earbit.runtime.waveform import MAX_PEAK, LevelWarning, level_problem

AUDIO = np.sin(np.arange(1600) / 9).astype(np.float32)


@pytest.fixture
def session(tmp_path):
    ops = [op("relu", [0]), op("mean_frames", [1])]
    return Session(write(tmp_path / "p.safetensors", ops, [0, 1]))


@pytest.mark.parametrize(
    ("peak", "advice"),
    [
        (8.5, "16-bit samples, divide it by 32768"),
        (-32768, "16-bit samples, divide it by 32768"),
        (40_000, "24-bit samples, divide it by 8388608"),
        (2.0**31, "32-bit samples, divide it by 2147483648"),
        (1e20, "features may be wrong"),
    ],
)
def test_a_peak_beyond_eight_times_full_scale_is_named_with_what_to_do(session, peak, advice):
    audio = AUDIO.copy()
    audio[7] = peak
    with pytest.warns(LevelWarning, match=f"peak of .*full scale is 1: .*{advice}$") as caught:
        session.run(audio)
    assert f"{abs(peak):.6g}" in str(caught[0].message)
    assert len(caught) == 1


def test_every_call_that_takes_audio_warns_once_at_the_line_that_made_it(session):
    loud = AUDIO * 32768
    calls = [
        lambda: session.run(loud, layers="all"),
        lambda: session.values(loud, [1]),
        lambda: session.profile(loud),
        lambda: session.run_batch([AUDIO, loud]),
    ]
    for call in calls:
        with pytest.warns(LevelWarning) as caught:
            call()
        assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("gain", [0.0, 1e-3, 1.0, MAX_PEAK])
def test_silence_and_plausible_levels_pass_without_a_word(session, gain):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.run(gain * AUDIO / np.abs(AUDIO).max())


def test_a_warning_changes_no_result(session):
    with pytest.warns(LevelWarning):
        loud = session.run(AUDIO * 64)
    assert np.array_equal(loud[:, 0], np.maximum(AUDIO, 0) * 64)
    assert level_problem(AUDIO) is None
