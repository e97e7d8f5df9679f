"""A program with a head: labels and scores, what of a head is refused, and files without one."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_programs import write_programs

from earbit.errors import ConfigError, DataError, FormatError
from earbit.runtime import Session
from earbit.runtime.speech_segments import speech_segments

AUDIO = np.random.default_rng(0).uniform(-1, 1, 3001).astype(np.float32)
RELU = {"op": "relu", "inputs": [0], "ints": {}, "floats": {}, "tensors": {}}
MEAN = {**RELU, "op": "mean_frames"}
PACK = {**RELU, "op": "pack", "ints": {"groups": 1}, "tensors": {"threshold": "t"}}
LINEAR = {
    **RELU,
    "op": "conv_f32",
    "inputs": [3],
    "ints": {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1},
    "tensors": {"weight": "w"},
}
TENSORS = {"w": np.float32([[3], [5]]), "t": np.zeros(1, np.float32)}
CODES = {**RELU, "op": "unpack", "inputs": [2], "ints": {"unsigned": 0}}
HEAD = {"task": "ks", "value": 4, "labels": ["no", "yes"]}
WITHOUT = object()


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    write_programs(folder)
    return Session(folder / "head.safetensors", threads=2)


def write(path, head):
    """Values: 1 as the audio, 2 its bits, 3 its mean, 4 three and five times that, 5 codes."""
    program = {
        "format": "earbit-program-1",
        "ops": [RELU, PACK, MEAN, LINEAR, CODES],
        "outputs": [1],
        "bits": {},
        "origin": {},
    }
    if head is not WITHOUT:
        program["head"] = head
    save_file(TENSORS, path, {"earbit": json.dumps(program)})
    return path


def test_scores_are_those_of_the_head_and_the_label_is_the_largest(tmp_path):
    session = Session(write(tmp_path / "p", HEAD))
    assert session.labels == ("no", "yes")
    for audio, label in ((AUDIO + 2, "yes"), (AUDIO - 2, "no")):
        expected = np.float64([3, 5]) * audio.astype(float).mean()
        assert np.allclose(session.scores(audio), expected, rtol=1e-5)
        assert session.scores(audio).dtype == np.float32
        assert session.label(audio) == label


def test_a_head_changes_no_feature(tmp_path):
    with_head, without = (Session(write(tmp_path / "p", head)) for head in (HEAD, WITHOUT))
    for layers in ("last", "all"):
        assert np.array_equal(with_head.run(AUDIO, layers), without.run(AUDIO, layers))


def test_one_pass_gives_what_two_give(session):
    for layers in ("last", "all"):
        features, scores = session.run_with_scores(AUDIO, layers)
        assert np.array_equal(features, session.run(AUDIO, layers))
        assert np.array_equal(scores, session.scores(AUDIO))


def test_a_label_is_any_text_of_unicode(session):
    assert session.labels == ("yes", "nö", "_silence_")


def test_a_program_without_a_head_has_no_labels_and_says_how_to_get_them(tmp_path):
    session = Session(write(tmp_path / "p", WITHOUT))
    assert session.labels is None
    for work in (session.scores, session.label, session.run_with_scores):
        with pytest.raises(ConfigError, match="no head.* --head"):
            work(AUDIO)


def test_scores_refuse_the_audio_that_features_refuse(session):
    for work in (session.scores, session.label):
        with pytest.raises(DataError, match="399 samples; allowed are 400"):
            work(AUDIO[:399])
        with pytest.raises(DataError, match="3001 samples that are NaN"):
            work(AUDIO * np.float32(np.nan))
        with pytest.raises(DataError, match="audio is no array"):
            work([[0.1], [0.2, 0.3]])


def test_a_median_filter_of_any_size_takes_no_memory():
    scores = np.float32([[1], [1], [-1], [1]])
    found = [
        speech_segments(scores, ["a"], threshold=0.5, window=window)
        for window in (1, 3, 5, 7, 2**40 + 1, 10**30 + 1)
    ]
    frame_s = 0.02
    expected = [[(0, 2), (3, 4)], [(0, 3)], [(1, 3)], [], [], []]
    assert found == [[(a * frame_s, b * frame_s, "a") for a, b in one] for one in expected]


REFUSED = [
    (None, "head: null, expected an object"),
    ({}, "head: no 'task'"),
    ({**HEAD, "more": 1}, "head: 'more', which this version does not know"),
    ({**HEAD, "task": 3}, "head task: a number, expected a string"),
    ({**HEAD, "task": ""}, 'head task: "" is no name'),
    ({**HEAD, "value": 6}, "head: value: 6 is no integer from 0 to 5"),
    ({**HEAD, "value": -1}, "head: value: -1 is no integer from 0 to 5"),
    ({**HEAD, "value": 5, "labels": ["a"]}, "head: 1 labels for value 5, which is not of floats"),
    ({**HEAD, "value": 2}, "head: 2 labels for value 2, which is not of floats"),
    ({**HEAD, "value": 1}, "head: 2 labels for value 1 of 1 columns"),
    ({**HEAD, "labels": "no"}, "head labels: a string, expected an array"),
    ({**HEAD, "labels": []}, "head: 0 labels for value 4 of 2 columns"),
    ({**HEAD, "labels": ["no"]}, "head: 1 labels for value 4 of 2 columns"),
    ({**HEAD, "labels": ["no", "yes", "on"]}, "head: 3 labels for value 4 of 2 columns"),
    ({**HEAD, "labels": ["no", 1]}, "head label 1: a number, expected a string"),
    ({**HEAD, "labels": ["no", ""]}, 'head label 1: "" is no name'),
    ({**HEAD, "labels": ["a\u0000", "b"]}, "head label 0: .* is no name"),
    ({**HEAD, "labels": ["no", "no"]}, "head: label 'no' twice"),
    ({**HEAD, "kind": "match"}, "head kind: \"match\", this version knows 'class', 'sequence', 'v"),
    ({**HEAD, "kind": "vector"}, "head: 2 labels for value 4 of 2 columns and kind 'vector', expe"),
    ({**HEAD, "slots": [1]}, "head: slots of 1 labels, there are 2"),
    ({**HEAD, "slots": [0, 2]}, "head slot: 0 is no integer from 1 to"),
    ({**HEAD, "kind": "sequence", "slots": [1, 1]}, "slots of kind 'sequence'; only a class has"),
    ({**HEAD, "kind": None}, "head kind: null, expected a string"),
    ({**HEAD, "min_log_odds": "1"}, 'head min_log_odds: "1" is no finite number'),
    ({**HEAD, "min_log_odds": None}, "head min_log_odds: null is no finite number"),
    ({**HEAD, "slots": [1, 1], "min_log_odds": 1}, "2 slots; only a class of one slot rejects"),
    ({**HEAD, "kind": "sequence", "min_log_odds": 1}, "min_log_odds of kind 'sequence' and 1 sl"),
]


@pytest.mark.parametrize(("head", "match"), REFUSED)
def test_a_head_that_does_not_hold_is_refused_with_the_place(tmp_path, head, match):
    with pytest.raises(FormatError, match=match) as error:
        Session(write(tmp_path / "p", head))
    assert "\n" not in str(error.value)


def test_scores_of_more_than_one_row_are_refused_by_their_value(tmp_path):
    session = Session(write(tmp_path / "p", {**HEAD, "value": 1, "labels": ["a"]}))
    with pytest.raises(FormatError, match="head value 1 of the program has 3001 rows, expected 1"):
        session.scores(AUDIO)


def test_a_label_less_likely_than_the_threshold_of_the_program_is_rejected(tmp_path):
    """Scores 3 m and 5 m of the mean m: the log odds of the larger are 2 |m|."""
    session = Session(write(tmp_path / "p", {**HEAD, "min_log_odds": 2.5}))
    loud, quiet = np.full(400, 1.5, np.float32), np.full(400, 1.0, np.float32)
    assert session.threshold == pytest.approx(1 / (1 + np.exp(-2.5)))
    assert (session.label(loud), session.label(quiet)) == ("yes", None)
    assert session.slot_labels(quiet) == (None,)
    between = 1 / (1 + np.exp(-2.0))
    assert session.label(quiet, threshold=between - 1e-6) == "yes"
    assert session.label(quiet, threshold=between + 1e-6) is None
    assert session.label(quiet * 0, threshold=0) == "no"
    assert Session(write(tmp_path / "q", HEAD)).threshold is None
    assert Session(write(tmp_path / "q", HEAD)).label(quiet * 0) == "no"
    for threshold in (1, -0.1, float("nan"), "0.5", True):
        with pytest.raises(ConfigError, match="allowed are probabilities from 0 to below 1"):
            session.label(quiet, threshold=threshold)


def test_the_probability_of_any_log_odds_is_a_number_from_0_to_1(tmp_path):
    for log_odds, probability in ((-1e308, 0), (-710, 0), (-2, 0.1192029220221), (1e308, 1)):
        session = Session(write(tmp_path / "p", {**HEAD, "min_log_odds": log_odds}))
        assert session.threshold == pytest.approx(probability, abs=1e-12)
        assert (session.label(AUDIO) is None) == (probability == 1)


@pytest.mark.filterwarnings("ignore:audio has a peak")
def test_log_odds_tell_labels_apart_whose_probabilities_round_to_one(tmp_path):
    session = Session(write(tmp_path / "p", {**HEAD, "min_log_odds": 100.0}))
    assert session.threshold == 1
    assert session.label(np.full(400, 49.0, np.float32)) is None
    assert session.label(np.full(400, 51.0, np.float32)) == "yes"


def test_a_program_from_before_there_were_kinds_has_classes(tmp_path):
    session = Session(write(tmp_path / "p", HEAD))
    assert session.kind == "class"
    assert Session(write(tmp_path / "q", WITHOUT)).kind is None
    with pytest.raises(ConfigError, match="head is of kind 'class'; call `label`"):
        session.text(AUDIO)


def test_a_head_of_kind_sequence_gives_a_row_of_scores_per_frame_and_a_text(tmp_path):
    """The linear layer on every sample, relu(x) times 0, 1 and 2: blank where it is silent."""
    program = {
        "format": "earbit-program-1",
        "ops": [RELU, {**LINEAR, "inputs": [1], "tensors": {"weight": "w", "bias": "b"}}],
        "outputs": [1],
        "bits": {},
        "origin": {},
        "head": {"task": "say", "kind": "sequence", "value": 2, "labels": ["<blank>", "a", "b "]},
    }
    tensors = {"w": np.float32([[0], [1], [2]]), "b": np.float32([0.3, 0.1, -0.4])}
    save_file(tensors, tmp_path / "p", {"earbit": json.dumps(program)})
    session = Session(tmp_path / "p")
    audio = np.zeros(400, np.float32)  # blank up to 0.2, then a up to 0.5, then b
    audio[10:20], audio[30:40], audio[40:60], audio[70:80] = 0.3, 0.9, 0.3, 0.4
    audio[390:] = 0.8
    assert session.kind == "sequence"
    assert np.allclose(session.scores(audio)[35], [0.3, 1.0, 1.4])
    assert session.scores(audio).shape == (400, 3)
    assert session.text(audio) == "ab aab"
    assert session.text(np.zeros(400, np.float32)) == ""
    with pytest.raises(ConfigError, match="head is of kind 'sequence'; call `text`"):
        session.label(audio)
