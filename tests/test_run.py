"""`earbit run` on many files: one bad file costs that file alone, and no file's name costs any."""

import signal
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earbit.errors import DataError
from earbit.export.verb import export_model
from earbit.run import NoneUsable, RunInterrupted, render_run, run_files
from earbit.runtime import Session


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "tiny.safetensors"
    export_model("sparseformer-dn-tiny", path, plan="w1a1")
    return path


def tone(path, n_samples=8000):
    wave = (0.1 * np.sin(np.arange(n_samples) / 9)).astype(np.float32)
    soundfile.write(path, wave, 16_000, format="WAV", subtype="FLOAT")
    return path, wave


def test_a_file_of_floats_far_beyond_full_scale_is_named_once_and_runs(
    program, tmp_path, capsys, recwarn
):
    good, wave = tone(tmp_path / "good.wav")
    loud = tmp_path / "loud.wav"
    soundfile.write(loud, wave * 32768, 16_000, format="WAV", subtype="FLOAT")
    summary = run_files(program, [good, loud], None)
    assert all("error" not in entry for entry in summary)
    said = capsys.readouterr().err
    assert said.count("full scale") == 1
    assert f"{loud}: audio has a peak of 3276" in said
    assert "divide it by 32768" in said
    assert not recwarn.list


def test_a_bad_file_is_left_out_by_name_and_all_others_are_written(program, tmp_path, capsys):
    good, wave = tone(tmp_path / "good.wav")
    (tmp_path / "text.wav").write_text("no audio")
    short, _ = tone(tmp_path / "short.wav", 100)
    last, _ = tone(tmp_path / "last.wav")
    paths = [tmp_path / "text.wav", good, short, tmp_path / "missing.wav", last]
    summary = run_files(program, paths, tmp_path / "new" / "f.npz")
    assert [entry["audio"] for entry in summary] == [str(path) for path in paths]
    errors = [entry.get("error") for entry in summary]
    assert [error is None for error in errors] == [False, True, False, False, True]
    assert "cannot be decoded" in errors[0]
    assert "100 samples" in errors[2]
    features = np.load(tmp_path / "new" / "f.npz", allow_pickle=False)
    assert set(features) == {str(good), str(last)}
    assert np.array_equal(features[str(good)], Session(program).run(wave))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        f"left out {path}" for path in (paths[0], short, paths[3])
    ]


def test_when_no_file_is_left_it_is_an_error_and_nothing_is_written(program, tmp_path):
    short, _ = tone(tmp_path / "short.wav", 100)
    with pytest.raises(DataError, match=r"among 2; .*short\.wav: .*100 samples"):
        run_files(program, [short, tmp_path / "missing.wav"], tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()


def test_when_no_file_is_left_an_older_file_stays_and_every_reason_is_told(
    program, tmp_path, capsys
):
    paths = [tone(tmp_path / "short.wav", 100)[0], tmp_path / "missing.wav"]
    out = tmp_path / "f.npz"
    out.write_bytes(b"whole")
    with pytest.raises(NoneUsable, match=r"f\.npz stays as it was$") as none:
        run_files(program, paths, out)
    assert out.read_bytes() == b"whole"
    assert [entry["audio"] for entry in none.value.summary] == [str(path) for path in paths]
    assert all("error" in entry for entry in none.value.summary)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"left out {path}" for path in paths]


def test_only_features_of_all_layers_have_a_number_of_layers(program, tmp_path):
    path, _ = tone(tmp_path / "a.wav")
    (last,) = run_files(program, [path], None)
    (every,) = run_files(program, [path], tmp_path / "f.npz", layers="all")
    assert "layers" not in last
    assert np.load(tmp_path / "f.npz")[str(path)].shape == (
        every["layers"] + 1,
        every["frames"],
        every["width"],
    )


def test_a_long_run_says_how_many_files_are_done(program, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("earbit.progress.SHOWN_AFTER_S", 0.01)
    paths = [tone(tmp_path / name)[0] for name in ("a.wav", "b.wav")]
    run = Session.run

    def slow(session, waveform, layers="last"):
        time.sleep(0.1)
        return run(session, waveform, layers)

    monkeypatch.setattr(Session, "run", slow)
    run_files(program, paths, None)
    assert capsys.readouterr().err.startswith("features: 0 of 2, ")


def test_any_name_that_a_file_can_have_is_the_name_of_an_array(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["file", "allow_pickle", "kwds", "a b.npy", "ü.wav"]
    paths = [tone(tmp_path / name)[0].relative_to(tmp_path) for name in names]
    run_files(program, paths, tmp_path / "f.npz")
    features = np.load(tmp_path / "f.npz", allow_pickle=False)
    assert all(features[name].shape == (24, 64) for name in names)


def test_a_folder_that_cannot_be_written_is_an_error_before_any_work(program, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot write there"):
        run_files(program, [tmp_path / "missing.wav"], tmp_path / "file" / "f.npz")


def test_a_file_given_twice_runs_once_with_a_line_that_names_it(
    program, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    path, other = Path("in/a.wav"), Path("in/b.wav")
    tone(path), tone(other)
    whole = tmp_path / "in" / "a.wav"
    summary = run_files(program, [path, Path("in"), whole], tmp_path / "f.npz")
    assert [entry["audio"] for entry in summary] == [str(path), str(other)]
    assert set(np.load("f.npz")) == {str(path), str(other)}
    assert capsys.readouterr().err.splitlines() == [
        f"{again}: given twice; it runs once, as {path}" for again in (path, whole)
    ]


def test_a_folder_without_audio_is_left_out_by_name_and_the_others_are_done(
    program, tmp_path, capsys
):
    good, _ = tone(tmp_path / "good.wav")
    (tmp_path / "empty").mkdir()
    empty, used = run_files(program, [tmp_path / "empty", good], None)
    assert empty["audio"] == str(tmp_path / "empty")
    assert empty["error"].startswith("no audio file in this folder; wav, flac")
    assert used["frames"] == 24
    assert capsys.readouterr().err.startswith(f"left out {tmp_path / 'empty'}: no audio file")


def test_the_table_of_no_usable_file_is_empty():
    assert render_run([{"audio": "b.wav", "error": "no audio"}]) == ""


def test_the_table_has_a_line_for_every_file_that_was_used():
    figures = {"seconds": 1.0, "frames": 49, "width": 64, "ms": 1.5, "rtf": 0.0015}
    said = {"label": "yes", "probability": 0.75}
    bad = {"audio": "b.wav", "error": "no audio"}
    header, *rows = render_run([bad, {"audio": "a.wav", **figures, **said}]).splitlines()
    assert header.split() == ["audio", "label", "probability", "seconds", *header.split()[-4:]]
    assert [row.split() for row in rows] == [
        ["a.wav", "yes", "0.7500", "1.000", "49", "64", "1.50", "0.00150"]
    ]


def test_a_folder_stands_for_the_audio_files_below_it(program, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    files = [tone(tmp_path / "in" / "b.wav")[0], tone(tmp_path / "in" / "deep" / "a.WAV")[0]]
    (tmp_path / "in" / "notes.txt").write_text("no audio")
    summary = run_files(program, [tmp_path / "in"], None)
    assert [entry["audio"] for entry in summary] == [str(file) for file in files]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no audio file in this folder"):
        run_files(program, [tmp_path / "empty"], None)


def test_what_is_done_before_an_end_by_hand_is_written_and_told(program, tmp_path, monkeypatch):
    paths = [tone(tmp_path / name)[0] for name in ("a.wav", "b.wav", "c.wav")]
    run = Session.run

    def ends_at_the_second(session, waveform, layers="last"):
        ends_at_the_second.calls += 1
        if ends_at_the_second.calls == 2:
            raise KeyboardInterrupt
        return run(session, waveform, layers)

    ends_at_the_second.calls = 0
    monkeypatch.setattr(Session, "run", ends_at_the_second)
    with pytest.raises(RunInterrupted) as early:
        run_files(program, paths, tmp_path / "f.npz")
    assert [entry["audio"] for entry in early.value.summary] == [str(paths[0])]
    assert list(np.load(tmp_path / "f.npz")) == [str(paths[0])]


def test_features_of_many_files_are_not_held_in_memory(program, tmp_path, monkeypatch):
    paths = [tone(tmp_path / f"{i}.wav")[0] for i in range(6)]
    alive: list[weakref.ref] = []

    def of_a_large_model(session, waveform, layers="last"):
        features = np.zeros((10, 8), np.float32)
        assert sum(one() is not None for one in alive) <= 1
        alive.append(weakref.ref(features))
        return features

    monkeypatch.setattr(Session, "run", of_a_large_model)
    for out in (None, tmp_path / "f.npz"):
        alive.clear()
        run_files(program, paths, out)
        assert len(alive) == len(paths)


@pytest.fixture
def _ends_at_the_second_file(monkeypatch):
    run, calls = Session.run, []

    def ends_at_the_second(session, waveform, layers="last"):
        calls.append(waveform)
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return run(session, waveform, layers)

    monkeypatch.setattr(Session, "run", ends_at_the_second)


@pytest.mark.usefixtures("_ends_at_the_second_file")
def test_an_end_by_hand_says_how_many_files_are_done_and_where_they_are(program, tmp_path):
    paths = [tone(tmp_path / name)[0] for name in ("a.wav", "b.wav", "c.wav")]
    out = tmp_path / "f.npz"
    with pytest.raises(RunInterrupted, match=r"^1 of 3 files are done, .* are in .*/f\.npz$"):
        run_files(program, paths, out)
    with pytest.raises(RunInterrupted, match=r"^1 of 3 files are done$"):
        run_files(program, paths, None)


@pytest.mark.usefixtures("_ends_at_the_second_file")
def test_an_end_by_hand_leaves_every_older_file_and_writes_what_is_done_beside_it(
    program, tmp_path
):
    paths = [tone(tmp_path / name)[0] for name in ("a.wav", "b.wav")]
    out = tmp_path / "f.npz"
    out.write_bytes(b"whole")
    for name in ("f.partial.npz", "f.partial-2.npz"):
        with pytest.raises(RunInterrupted, match=name):
            run_files(program, paths, out)
        assert list(np.load(tmp_path / name)) == [str(paths[0])]
    assert out.read_bytes() == b"whole"
    assert len(list(tmp_path.iterdir())) == 5


def test_an_end_by_hand_while_an_array_is_written_leaves_it_whole(program, tmp_path, monkeypatch):
    paths = [tone(tmp_path / name)[0] for name in ("a.wav", "b.wav")]
    write_array = np.lib.format.write_array

    def with_an_end_by_hand(*args, **named):
        signal.raise_signal(signal.SIGINT)
        write_array(*args, **named)

    monkeypatch.setattr(np.lib.format, "write_array", with_an_end_by_hand)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(RunInterrupted, match=r"^1 of 2 files are done"):
            run_files(program, paths, tmp_path / "f.npz")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    features = np.load(tmp_path / "f.npz")
    assert list(features) == [str(paths[0])]
    assert features[str(paths[0])].shape == (24, 64)
