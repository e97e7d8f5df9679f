"""Scores of the last second of live audio, by programs that need whole clips."""

import numpy as np
import pytest
import soundfile

from earbit.errors import ConfigError, DataError
from earbit.run_stream import stream_events
from earbit.runtime import Session
from earbit.runtime.window import Window

AUDIO = np.random.default_rng(0).uniform(-0.1, 0.1, 40_000).astype(np.float32)


@pytest.fixture(scope="module")
def session():
    return Session("keywords-w1a1")


@pytest.mark.parametrize("n", [997, 16_000, 30_000])
def test_scores_are_those_of_the_session_on_the_last_second_for_chunks_of_any_size(session, n):
    window = Window(session)
    for start in range(0, len(AUDIO), n):
        window.accept(AUDIO[start : start + n])
        done = min(start + n, len(AUDIO))
        found = window.scores()
        if done < 16_000:
            assert found is None
        else:
            assert np.array_equal(found, session.scores(AUDIO[done - 16_000 : done]))
    assert window.seconds == 2.5


def test_a_shorter_clip_is_scored_as_a_whole_at_its_end(session):
    window = Window(session)
    window.accept(AUDIO[:8_000])
    assert window.scores() is None
    window.finish()
    assert np.array_equal(window.scores(), session.scores(AUDIO[:8_000]))
    with pytest.raises(DataError, match="finished"):
        window.accept(AUDIO)


def test_other_rates_are_resampled_as_one_signal(session):
    window = Window(session)
    low = np.sin(np.arange(12_000) * 2 * np.pi * 440 / 8_000).astype(np.float32) / 4
    for start in range(0, len(low), 1_001):
        window.accept(low[start : start + 1_001], 8_000)
    window.finish()
    assert window.seconds == 1.5
    assert window.scores().shape == (len(session.labels),)


def test_a_program_without_classes_is_refused():
    class Features:
        kind = None

    with pytest.raises(ConfigError, match="kind None"):
        Window(Features())


def test_the_shipped_spotter_prints_labels_of_a_file_while_it_comes(tmp_path, capsys, session):
    soundfile.write(tmp_path / "a.wav", AUDIO, 16_000, subtype="FLOAT")
    events = list(stream_events("keywords-w1a1", tmp_path / "a.wav", threshold=0.0))
    assert "runs on the last second, every 0.25 s" in capsys.readouterr().err
    assert events[0]["label"] in session.labels
    # The first look at a full second is that after 13 chunks of 80 ms.
    assert events[0]["seconds"] == pytest.approx(1.04)
