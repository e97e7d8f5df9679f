"""Heads of every kind in C: the results of a Session bit for bit, and errors for wrong calls."""

import subprocess

import numpy as np
import pytest
from programs_with_heads import HEADS, SLOTS, write_heads
from small_programs import write_programs

from earbit.errors import DataError
from earbit.runtime import Session
from native_build import built, ran

KINDS = ("", "class", "sequence", "vector", "segments")
AUDIO = np.random.default_rng(3).uniform(-1, 1, (4, 3001)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    write_programs(folder)
    write_heads(folder)
    return folder


def said(folder, tmp_path, name, audio, *threshold):
    """Kind and shape of the head, and the lines of its results."""
    audio.tofile(tmp_path / "a.f32")
    program = folder / f"{name}.safetensors"
    first, *lines = ran(
        built("asan") / "c_heads", program, tmp_path / "a.f32", 2, *threshold
    ).splitlines()
    return first, lines


@pytest.mark.parametrize("name", HEADS)
def test_kind_and_shape_of_a_head_are_those_of_the_scores_of_a_session(folder, tmp_path, name):
    session = Session(folder / f"{name}.safetensors")
    first, _ = said(folder, tmp_path, name, AUDIO[0])
    rows, width = np.atleast_2d(session.scores(AUDIO[0])).shape
    assert first == f"{KINDS.index(session.kind)}: {rows} x {width}"


@pytest.mark.parametrize("audio", AUDIO, ids=range(4))
def test_text_vector_and_segments_are_those_of_a_session_bit_for_bit(folder, tmp_path, audio):
    text = Session(folder / "sequence.safetensors").text(audio)
    assert len(text) > 50
    assert said(folder, tmp_path, "sequence", audio)[1] == [text]
    vector = Session(folder / "vector.safetensors").embedding(audio)
    lines = said(folder, tmp_path, "vector", audio)[1]
    assert np.array_equal(np.float32([float.fromhex(line) for line in lines]), vector)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    session = Session(folder / "segments.safetensors")
    for threshold in (0.5, 0.3, 0.9):
        found = session.segments(audio, threshold=threshold, window=3)
        assert len(found) > 5
        lines = [
            line.split(" ", 2) for line in said(folder, tmp_path, "segments", audio, threshold)[1]
        ]
        assert [(float.fromhex(a), float.fromhex(b), name) for a, b, name in lines] == found


@pytest.mark.parametrize("audio", AUDIO, ids=range(4))
def test_labels_of_slots_and_rejected_labels_are_those_of_a_session(folder, tmp_path, audio):
    lines = said(folder, tmp_path, "slots", audio)[1]
    labels = Session(folder / "slots.safetensors").slot_labels(audio)
    assert [line.split(" ", 2)[2] for line in lines] == list(labels)
    assert [int(line.split(" ")[0]) for line in lines] == [len(slot) for slot in SLOTS]
    session = Session(folder / "classes.safetensors")
    scores = session.scores(audio).astype(float)
    probability = np.exp(scores - scores.max()).sum() ** -1
    for threshold in (None, 0, probability - 1e-9, probability + 1e-9, 0.999):
        asked = [] if threshold is None else [repr(float(threshold))]
        (line,) = said(folder, tmp_path, "classes", audio, *asked)[1]
        label = session.label(audio, threshold=threshold)
        assert line.split(" ", 2)[2] == (label or "rejected")
        assert float.fromhex(line.split(" ")[1]) == pytest.approx(probability, abs=1e-12)
        least = 1 / (1 + np.exp(-0.25)) if threshold is None else threshold
        assert (label is None) == (probability < least)


def test_scores_that_are_not_finite_reject_no_label_unless_a_threshold_does(folder, tmp_path):
    session = Session(folder / "not_finite.safetensors")
    assert session.scores(AUDIO[0]).tolist() == [2, np.inf, 4]
    for threshold, label in ((None, "no"), (0, "no"), (0.5, None)):
        asked = [] if threshold is None else [threshold]
        (line,) = said(folder, tmp_path, "not_finite", AUDIO[0], *asked)[1]
        assert session.label(AUDIO[0], threshold=threshold) == label
        probability, name = line.split(" ", 2)[1:]
        assert (np.isnan(float(probability)), name) == (True, label or "rejected")


@pytest.mark.parametrize("name", [*HEADS, "norms"])
def test_every_wrong_call_of_a_head_gets_its_status_and_a_text(folder, name):
    ran(built("asan") / "c_head_errors", folder / f"{name}.safetensors")


@pytest.mark.parametrize("n_samples", [400, 609])
def test_audio_too_short_for_a_head_names_the_samples_that_it_needs(folder, tmp_path, n_samples):
    """60 frames of 20 samples every 10: 20 + 59 x 10 = 610."""
    program = folder / "vector.safetensors"
    message = f"audio of {n_samples} samples; the program's head needs at least 610 (0.038 s); pad"
    session = Session(program)
    for work in (session.embedding, session.scores, session.run_with_scores, session.profile):
        with pytest.raises(DataError) as error:
            work(AUDIO[0, :n_samples])
        assert str(error.value).startswith(message)
    assert session.head.min_samples == 610
    assert session.embedding(AUDIO[0, :610]).shape == (7,)
    AUDIO[0, :n_samples].tofile(tmp_path / "a.f32")
    command = [built("asan") / "c_heads", program, tmp_path / "a.f32", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "3: 0 x 7\n")
    assert done.stderr.startswith(message)


def test_features_of_audio_too_short_for_the_head_are_there(folder):
    program = folder / "vector.safetensors"
    assert Session(program).run(AUDIO[0, :400]).shape == (39, 12)
    status = ran(built("asan") / "c_status", program, 400).splitlines()[1]
    assert status == "0 "


def test_the_largest_of_scores_with_nan_is_the_nan_as_in_numpy(folder):
    from earbit.runtime.likeliest import best_of

    index, log_odds, probability = best_of(np.float32([1, np.nan, 3]), 3)
    assert (index, np.isnan(log_odds), np.isnan(probability)) == (1, True, True)
