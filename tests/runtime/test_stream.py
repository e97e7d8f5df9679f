"""`Session.stream`: chunks of any size and rate, scores, text, and what is refused."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs_with_heads import write_heads

from earbit.audio.resampling import resample
from earbit.errors import ConfigError, DataError, UnsupportedError
from earbit.runtime import Session
from earbit.runtime.greedy_stream import GreedyStream
from earbit.runtime.greedy_text import greedy_text
from earbit.runtime.waveform import LevelWarning
from earbit.shipped import shipped_programs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    write_heads(folder)
    return folder


@pytest.fixture(scope="module")
def session(folder):
    return Session(folder / "sequence.safetensors")


def noise(seed, n):
    return np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32)


def in_chunks(stream, audio, n, rate_hz=16_000):
    for start in range(0, len(audio), n):
        stream.accept(audio[start : start + n], rate_hz)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("n", [1, 160, 7_000])
def test_chunks_of_any_rate_give_the_features_of_the_resampled_clip(session, rate_hz, n):
    audio = noise(rate_hz, 900 if n == 1 else 20_000)
    stream = session.stream()
    in_chunks(stream, audio, n, rate_hz)
    early = stream.frames()
    stream.finish()
    whole = session.values(np.pad(resample(audio, rate_hz), (0, 400)), [session.outputs[-1]])[0]
    found = np.concatenate([early, stream.frames()])
    assert abs(len(found) - (len(audio) * 16_000 / rate_hz - 20) / 10) <= 1
    assert np.array_equal(found, whole[: len(found)])
    assert stream.frames().shape == (0, 12)


def test_the_rate_may_change_between_chunks(session):
    parts = [(8_000, noise(1, 3_000)), (16_000, noise(2, 5_000)), (44_100, noise(3, 9_000))]
    stream = session.stream()
    for rate_hz, part in parts:
        in_chunks(stream, part, 700, rate_hz)
    stream.finish()
    joined = np.concatenate([resample(part, rate_hz) for rate_hz, part in parts])
    assert np.array_equal(stream.frames(), session.run(joined))
    assert stream.seconds == len(joined) / 16_000


@given(seed=st.integers(0, 1000), n=st.integers(1, 900))
@settings(max_examples=30, deadline=None)
def test_the_texts_of_a_stream_are_together_the_text_of_the_clip(session, seed, n):
    audio = noise(seed, 3_000)
    stream, texts = session.stream(frames=False), []
    for start in range(0, len(audio), n):
        stream.accept(audio[start : start + n])
        texts.append(stream.text())
    stream.finish()
    assert "".join([*texts, stream.text()]) == session.text(audio)


@given(
    symbols=st.lists(st.integers(0, 3), max_size=30), cuts=st.lists(st.integers(0, 30), max_size=6)
)
def test_text_row_by_row_is_that_of_all_rows(symbols, cuts):
    labels = ("<blank>", " ", "a", "b ")
    scores = np.eye(4, dtype=np.float32)[symbols].reshape(-1, 4)
    decoder = GreedyStream(labels)
    edges = [0, *sorted(min(cut, len(symbols)) for cut in cuts), len(symbols)]
    pairs = zip(edges, edges[1:], strict=False)
    text = "".join(decoder.add(scores[first:end]) for first, end in pairs)
    assert text == greedy_text(labels, scores)


def test_scores_of_symbols_and_speakers_are_the_rows_since_the_last_call(folder):
    for name in ("sequence", "segments"):
        session = Session(folder / f"{name}.safetensors")
        stream, audio, rows = session.stream(), noise(0, 2_000), []
        for start in range(0, 2_000, 300):
            stream.accept(audio[start : start + 300])
            rows.append(stream.scores())
        stream.finish()
        assert np.array_equal(np.concatenate([*rows, stream.scores()]), session.scores(audio))


@pytest.mark.parametrize("name", ["classes", "slots"])
def test_scores_of_a_class_are_those_of_the_last_window(folder, name):
    # A window of a second has 50 rows; a row of these programs is 10 samples.
    session = Session(folder / f"{name}.safetensors")
    stream, audio = session.stream(window_s=1.0), noise(0, 4_000)
    assert stream.scores() is None
    stream.accept(audio[:200])
    assert np.array_equal(stream.scores(), session.scores(np.pad(audio[:200], (0, 200)))) is False
    stream.accept(audio[200:3_100])
    (features,) = session.values(audio[3_100 - 510 : 3_100], session.outputs)
    assert len(features) == 50
    expected = session.scores(audio[3_100 - 510 : 3_100])
    assert np.array_equal(stream.scores(), expected)
    # Reading changes nothing, and more chunks move the window.
    assert np.array_equal(stream.scores(), expected)
    in_chunks(stream, audio[3_100:], 10)
    assert np.array_equal(stream.scores(), session.scores(audio[-510:]))


def test_a_window_has_rows_of_what_the_whole_clip_is_needed_of(folder):
    """Rows before the mean over all frames: each of a vector reads 60 frames."""
    session = Session(folder / "vector.safetensors")
    stream, audio = session.stream(window_s=2.0), noise(0, 3_000)
    stream.accept(audio[:300])
    assert stream.scores() is None
    stream.accept(audio[300:])
    assert np.array_equal(stream.scores(), session.scores(audio[-(100 + 59 + 1) * 10 :]))


def test_a_stream_that_is_finished_takes_audio_again_after_reset(session):
    stream, audio = session.stream(), noise(0, 1_000)
    in_chunks(stream, audio, 300)
    stream.finish()
    for again in (lambda: stream.accept(audio), stream.finish):
        with pytest.raises(DataError, match="the stream is finished; reset it"):
            again()
    stream.reset()
    assert stream.seconds == 0
    in_chunks(stream, audio, 77)
    stream.finish()
    assert np.array_equal(stream.frames(), session.run(audio))


def test_a_hundred_streams_in_turn_and_on_threads_do_not_meet(session):
    audio = [noise(seed, 2_000) for seed in range(100)]
    streams = [session.stream() for _ in audio]
    for start in range(0, 1_000, 250):
        for stream, samples in zip(streams, audio, strict=True):
            stream.accept(samples[start : start + 250])

    def rest(stream, samples):
        in_chunks(stream, samples[1_000:], 130)
        stream.finish()
        return stream.frames()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(rest, streams, audio))
    for frames, samples in zip(found, audio, strict=True):
        assert np.array_equal(frames, session.run(samples))


def test_one_stream_may_be_fed_by_several_threads(session):
    stream = session.stream()
    chunk = np.zeros(160, np.float32)
    threads = [
        threading.Thread(target=lambda: [stream.accept(chunk) for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stream.seconds == 4 * 50 * 160 / 16_000
    stream.finish()
    assert np.array_equal(stream.frames(), session.run(np.zeros(32_000, np.float32)))


@pytest.mark.parametrize("during", ["add", "end"])
def test_audio_that_an_interruption_has_lost_is_said(session, monkeypatch, during):
    def interrupted(*_):
        raise KeyboardInterrupt

    stream = session.stream()
    stream.accept(noise(0, 500), 8_000)
    with monkeypatch.context() as patched:
        patched.setattr(type(stream._resampler), during, interrupted)
        with pytest.raises(KeyboardInterrupt):
            stream.accept(noise(0, 500)) if during == "add" else stream.finish()
    for call in (lambda: stream.accept(noise(0, 500)), stream.finish):
        with pytest.raises(DataError, match="interrupted or failed; reset it"):
            call()
    stream.reset()
    audio = noise(1, 3_000)
    stream.accept(audio)
    stream.finish()
    assert np.array_equal(stream.frames(), session.run(audio))


def test_an_interruption_loses_no_text(session, monkeypatch):
    audio, stream = noise(0, 3_000), session.stream(frames=False)
    stream.accept(audio[:1_500])
    add = GreedyStream.add

    def interrupted(decoder, rows):
        add(decoder, rows)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(GreedyStream, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stream.text()
    stream.accept(audio[1_500:])
    stream.finish()
    assert stream.text() == session.text(audio)


@pytest.mark.parametrize("name", ["sequence", "vector"])
def test_the_latency_is_that_of_features_whatever_a_head_needs(folder, name):
    session = Session(folder / f"{name}.safetensors")
    stream, latency = session.stream(), 20  # samples; a row is 10
    assert stream.latency_s == session.stream(frames=False).latency_s == latency / 16_000
    n_rows = 0
    for i in range(1, 100):
        stream.accept(np.zeros(1, np.float32))
        n_rows += len(stream.frames())
        assert n_rows == max(0, (i - latency) // 10 + 1)


def test_what_is_no_audio_is_refused_and_changes_nothing(session):
    stream, audio = session.stream(), noise(0, 1_000)
    stream.accept(audio[:500])
    bad = audio.copy()
    bad[3] = np.nan
    for samples, message in [
        (bad, "NaN or infinite"),
        ((audio * 1000).astype(np.int16), "int16"),
        (audio[None], "shape"),
        ("a.wav", "read the file first"),
    ]:
        with pytest.raises(DataError, match=message):
            stream.accept(samples)
    for rate_hz in (0, 999, 16_000.5, 10**9, True, "16000"):
        with pytest.raises(ConfigError, match="rate_hz="):
            stream.accept(audio, rate_hz)
    stream.accept(audio[:0])
    stream.accept(audio[500:])
    stream.finish()
    assert np.array_equal(stream.frames(), session.run(audio))


def test_loud_audio_is_warned_of_once(session):
    stream = session.stream()
    loud = 30_000 * np.ones(100, np.float32)
    with pytest.warns(LevelWarning, match="peak of 30000") as warned:
        stream.accept(loud)
    assert warned[0].filename == __file__
    stream.accept(loud)  # a second warning would be an error


def test_arguments_are_checked(session, folder):
    for window_s in (0, -1, "1", 1e9, True):
        with pytest.raises(ConfigError, match="window_s="):
            session.stream(window_s=window_s)
    with pytest.raises(ConfigError, match="frames=False"):
        session.stream(frames=False).frames()
    with pytest.raises(ConfigError, match="kind 'class'; call `label`"):
        Session(folder / "classes.safetensors").stream().text()


@pytest.mark.parametrize("name", shipped_programs())
def test_a_program_of_the_whole_clip_says_which_op_and_what_to_use(name):
    message = r"cannot stream: op \d+, \w+ \(.*needs the whole clip; use "
    with pytest.raises(UnsupportedError, match=message):
        Session(name).stream()
