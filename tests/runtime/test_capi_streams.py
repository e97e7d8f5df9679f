"""Streams in C: the rows, scores and text of `Session.stream`, bit for bit."""

import numpy as np
import pytest
from programs_with_heads import write_heads

from earbit.runtime import Session
from earbit.shipped import program_path
from native_build import built, ran

AUDIO = np.random.default_rng(3).uniform(-1, 1, 3001).astype(np.float32)
FRAMES, SCORES = 1, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    write_heads(folder)
    AUDIO.tofile(folder / "a.f32")
    return folder


def said(folder, name, piece, results, *window):
    """Lines of `c_streams` by their first word."""
    program = folder / f"{name}.safetensors"
    made = ran(built("asan") / "c_streams", program, folder / "a.f32", piece, results, *window)
    lines = {"latency": [], "frame": [], "scores": [], "text": []}
    for line in made.split("\n"):
        word, _, rest = line.partition(" ")
        if word:
            lines[word].append(rest)
    return lines


def rows_of(lines):
    return np.float32([[float.fromhex(number) for number in line.split()] for line in lines])


@pytest.mark.parametrize("piece", [1, 77, 800])
def test_features_and_text_are_those_of_a_session(folder, piece):
    session = Session(folder / "sequence.safetensors")
    lines = said(folder, "sequence", piece, FRAMES + SCORES)
    assert lines["latency"] == ["20"]
    assert np.array_equal(rows_of(lines["frame"]), session.run(AUDIO))
    assert "".join(lines["text"]) == session.text(AUDIO)


def test_scores_of_speakers_are_rows_and_those_of_a_class_are_of_the_last_window(folder):
    session = Session(folder / "segments.safetensors")
    lines = said(folder, "segments", 333, SCORES)
    assert np.array_equal(rows_of(lines["scores"]), session.scores(AUDIO))
    assert lines["frame"] == []
    for name in ("classes", "slots", "vector"):
        session = Session(folder / f"{name}.safetensors")
        found = rows_of(said(folder, name, 500, SCORES, 40)["scores"])
        stream, expected = session.stream(window_s=0.8), []
        for start in range(0, len(AUDIO), 500):
            stream.accept(AUDIO[start : start + 500])
            scores = stream.scores()
            expected += [] if scores is None else [scores]
        stream.finish()
        assert np.array_equal(found, [*expected, stream.scores()])


def test_a_backlog_of_rows_is_read_one_by_one_in_linear_time_and_its_memory_given_back():
    assert ran(built("asan") / "unread_rows", timeout_s=60) == "0 wrong\n"


def test_a_stream_that_was_cancelled_while_threads_shared_it_works_after_a_reset(folder):
    said = ran(built("asan") / "stream_threads", folder / "sequence.safetensors")
    assert said == "cancelled, then the same results\n"


@pytest.mark.slow
def test_the_thread_sanitizer_finds_no_race_of_threads_that_share_a_stream(folder):
    said = ran(built("tsan") / "stream_threads", folder / "sequence.safetensors")
    assert said == "cancelled, then the same results\n"


def test_a_program_of_the_whole_clip_is_refused_with_the_op(folder):
    program = program_path("keywords-w1a1")
    command = (built("asan") / "c_streams", program, folder / "a.f32", 100, FRAMES)
    with pytest.raises(AssertionError, match=r"cannot stream: op \d+, \w+, needs the whole clip"):
        ran(*command)
