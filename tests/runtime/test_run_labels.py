"""`earbit run` of a program with a head: the label of every file, and its scores."""

import math

import numpy as np
import pytest
import scipy.special
import soundfile
from programs_with_heads import write_heads
from small_programs import write_programs

from earbit.errors import ConfigError
from earbit.run import RunInterrupted, render_run, run_files
from earbit.runtime import Session
from earbit.runtime.likeliest import shown_probability


def tone(path, n_samples=8000):
    wave = (0.1 * np.sin(np.arange(n_samples) / 9)).astype(np.float32)
    soundfile.write(path, wave, 16_000, format="WAV", subtype="FLOAT")
    return path, wave


@pytest.fixture
def without_head(tmp_path):
    write_programs(tmp_path)
    return tmp_path / "norms.safetensors"


@pytest.fixture
def with_head(tmp_path):
    write_programs(tmp_path)
    return tmp_path / "head.safetensors"


def test_a_program_with_a_head_says_the_label_of_each_file_and_writes_its_scores(
    with_head, tmp_path
):
    files = [tone(tmp_path / name, n) for name, n in (("a.wav", 800), ("b.wav", 1600))]
    (tmp_path / "text.wav").write_text("no audio")
    paths = [*(path for path, _ in files), tmp_path / "text.wav"]
    *good, bad = run_files(with_head, paths, tmp_path / "f.npz")
    assert "label" not in bad
    written = np.load(tmp_path / "f.npz", allow_pickle=False)
    assert list(written["labels"]) == ["yes", "nö", "_silence_"]
    assert len(written.files) == 5
    session = Session(with_head)
    for (path, wave), entry in zip(files, good, strict=True):
        scores = session.scores(wave)
        assert np.array_equal(written[f"{path}.scores"], scores)
        assert np.array_equal(written[str(path)], session.run(wave))
        probabilities = scipy.special.softmax(scores.astype(float))
        assert entry["label"] == session.labels[probabilities.argmax()]
        assert entry["probability"] == pytest.approx(probabilities.max(), abs=1e-4)


def test_a_program_without_a_head_says_no_label(without_head, tmp_path):
    path, _ = tone(tmp_path / "a.wav")
    (entry,) = run_files(without_head, [path], tmp_path / "f.npz")
    assert "label" not in entry
    assert np.load(tmp_path / "f.npz").files == [str(path)]


@pytest.mark.parametrize("name", ["labels", "a.wav.scores"])
def test_a_file_with_the_name_of_an_array_of_scores_is_an_error(
    with_head, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    paths = [tone(tmp_path / file)[0].relative_to(tmp_path) for file in ("a.wav", name)]
    with pytest.raises(ConfigError, match=f"{name}: .*rename"):
        run_files(with_head, paths, tmp_path / "f.npz")
    assert "label" in run_files(with_head, paths, None)[1]


def test_a_rejected_label_is_no_label_and_says_which_it_was(with_head, tmp_path):
    path, wave = tone(tmp_path / "a.wav")
    (kept,) = run_files(with_head, [path], None, threshold=0)
    (entry,) = run_files(with_head, [path], None, threshold=0.999999)
    assert (entry["label"], entry["rejected"]) == (None, kept["label"])
    assert entry["probability"] == kept["probability"]
    assert entry["threshold"] == pytest.approx(0.999999)
    assert entry["log_odds"] < entry["threshold_log_odds"]
    assert "threshold" not in kept
    assert "threshold" not in render_run([kept])
    other = {**kept, "threshold": 0.2, "threshold_log_odds": -1.4}
    table = render_run([entry, other])
    assert "(no keyword)" in table
    assert "1-1e-06" in table
    assert kept["label"] in table


@pytest.mark.parametrize(
    ("log_odds", "text"),
    [(0.0, "0.5000"), (40.0, "1-4.2e-18"), (45.0, "1-2.9e-20"), (-40.0, "4.2e-18")]
    + [(6.0, "0.9975"), (7.0, "1-0.00091"), (math.nan, "nan"), (1e308, "1-0"), (-800.0, "0")],
)
def test_a_probability_near_0_or_1_is_shown_as_its_distance(log_odds, text):
    assert shown_probability(log_odds) == text


def test_a_threshold_for_a_program_that_rejects_nothing_is_an_error(without_head, tmp_path):
    path, _ = tone(tmp_path / "a.wav")
    with pytest.raises(ConfigError, match="no head of kind 'class' with one slot"):
        run_files(without_head, [path], None, threshold=0.5)


def test_an_end_by_hand_leaves_older_segments_as_they_were(tmp_path, monkeypatch):
    write_heads(tmp_path)
    paths = [tone(tmp_path / name)[0] for name in ("a.wav", "b.wav")]
    run, calls = Session.run_with_scores, []

    def ends_at_the_second(session, waveform, layers="last"):
        calls.append(waveform)
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return run(session, waveform, layers)

    monkeypatch.setattr(Session, "run_with_scores", ends_at_the_second)
    out = tmp_path / "f.rttm"
    with pytest.raises(RunInterrupted, match=r"are in .*/f\.rttm$"):
        run_files(tmp_path / "segments.safetensors", paths, out)
    out.write_text("older\n")
    with pytest.raises(RunInterrupted, match=r"are in .*/f\.partial\.rttm$"):
        run_files(tmp_path / "segments.safetensors", paths, out)
    assert out.read_text() == "older\n"
    assert "SPEAKER a 1" in (tmp_path / "f.partial.rttm").read_text()
