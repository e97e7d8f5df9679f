"""Scores of the last second of live audio, by programs that need whole clips."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from programs_with_heads import write_heads

from earbit.errors import ConfigError, DataError
from earbit.run_stream import stream_events
from earbit.runtime import Session
from earbit.runtime.window import Window

AUDIO = np.random.default_rng(0).uniform(-0.1, 0.1, 40_000).astype(np.float32)


@pytest.fixture(scope="module")
def session():
    return Session("keywords-w1a1")


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    """A program with a head of classes that streams."""
    folder = tmp_path_factory.mktemp("heads")
    write_heads(folder)
    return folder / "classes.safetensors"


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
    assert [event["seconds"] for event in events] == [1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5]
    for event in events:
        end = round(event["seconds"] * 16_000)
        label = session.label(AUDIO[end - 16_000 : end], threshold=0.0)
        assert event["label"] == label


def test_audio_that_ends_between_two_looks_is_looked_at_once_more(tmp_path):
    soundfile.write(tmp_path / "a.wav", AUDIO[:17_000], 16_000, subtype="FLOAT")
    events = list(stream_events("keywords-w1a1", tmp_path / "a.wav"))
    assert [event["seconds"] for event in events] == [1.0, 1.0625]


@settings(max_examples=15, deadline=None)
@given(
    program=st.sampled_from(["keywords-w1a1", "classes"]),
    rate_hz=st.sampled_from([8_000, 16_000, 44_100]),
    lengths=st.lists(st.integers(1, 9_000), min_size=1, max_size=6),
)
def test_results_do_not_depend_on_how_the_audio_is_cut(streaming, program, rate_hz, lengths):
    audio = AUDIO[: rate_hz * 19 // 10] if rate_hz < 40_000 else np.tile(AUDIO, 3)[: 2 * rate_hz]
    cut = np.cumsum(np.resize(lengths, len(audio)))
    chunks = np.split(audio, cut[cut < len(audio)])
    path = streaming if program == "classes" else program

    def events_of(chunks):
        given = [(chunk, rate_hz) for chunk in chunks]
        with mock.patch("earbit.run_stream.live_chunks", return_value=given):
            return list(stream_events(path, Path("a.wav"), threshold=0.0))

    events, whole = events_of(chunks), events_of([audio])
    assert [(e["seconds"], e["label"]) for e in events] == [
        (e["seconds"], e["label"]) for e in whole
    ]
    assert all(event["seconds"] % 0.25 == 0 for event in events[:-1])
