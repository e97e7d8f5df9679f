"""What `earbit run` takes as audio, and what it says of it before and after."""

import contextlib
import io
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from earbit import run
from earbit.errors import ConfigError
from earbit.export.verb import export_model
from earbit.run import NoneUsable, run_files
from earbit.runtime.expected_time import ExpectedTime


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "tiny.safetensors"
    export_model("sparseformer-dn-tiny", path, plan="w1a1")
    return path


def tone(path, n_samples=8_000):
    wave = (0.1 * np.sin(np.arange(n_samples) / 9)).astype(np.float32)
    soundfile.write(path, wave, 16_000, format="WAV")
    return path


def test_a_folder_is_read_with_its_links_and_what_is_not_read_is_said(program, tmp_path, capsys):
    root = tmp_path / "in"
    root.mkdir()
    (tmp_path / "other").mkdir()
    files = [tone(root / "b.WAVE"), tone(tmp_path / "other" / "a.wav")]
    (root / "link").symlink_to(tmp_path / "other")
    (root / "up").symlink_to(root)
    (root / "x.m4a").write_bytes(b"x")
    summary = run_files(program, [root], None)
    assert [entry["audio"] for entry in summary] == [str(files[0]), str(root / "link" / "a.wav")]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{root / 'up'}: not followed, leads back to {root}"
    assert lines[1].startswith(f"{root}: 1 .m4a file not read; convert with: find -L {root} ")


def test_a_folder_of_files_that_are_not_read_is_an_error_after_the_command(
    program, tmp_path, capsys
):
    (tmp_path / "x.m4a").write_bytes(b"x")
    with pytest.raises(NoneUsable, match="no audio file in this folder"):
        run_files(program, [tmp_path], None)
    assert "1 .m4a file not read; convert with: find -L" in capsys.readouterr().err


def test_files_of_silence_are_named_and_from_ten_on_counted(program, tmp_path, capsys):
    for number in range(12):
        soundfile.write(tmp_path / f"{number:02}.wav", np.zeros(8_000), 16_000)
    tone(tmp_path / "sound.wav")
    summary = run_files(program, [tmp_path], None)
    assert [entry.get("warning") for entry in summary] == [
        *["silence: all samples are 0"] * 12,
        None,
    ]
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        *(f"{tmp_path / f'{number:02}.wav'}: silence: all samples are 0" for number in range(10)),
        "2 more files with warnings; --json has all",
    ]


def test_a_name_that_is_no_utf_8_is_the_name_of_an_array(program, tmp_path):
    os.rename(tone(tmp_path / "a.wav"), os.fsencode(tmp_path) + b"/\xff.wav")
    tone(tmp_path / "b.wav")
    summary = run_files(program, [tmp_path], tmp_path / "f.npz")
    names = [str(tmp_path / "b.wav"), rf"{tmp_path}/\xff.wav"]
    assert [entry["audio"] for entry in summary] == names
    assert set(np.load(tmp_path / "f.npz")) == set(names)


@pytest.mark.parametrize(
    "names", [(b"\xff.wav", rb"\xff.wav"), (b"a.wav", b"a.wav.npy")], ids=["bytes", "npy"]
)
def test_two_files_whose_arrays_would_have_one_name_are_refused(program, tmp_path, names):
    paths = [tmp_path / os.fsdecode(name) for name in names]
    for path in paths:
        os.rename(tone(tmp_path / "x.wav"), path)
    with pytest.raises(ConfigError, match="two audio files whose arrays have this name; rename"):
        run_files(program, paths, tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()
    assert [entry["frames"] for entry in run_files(program, paths, None)] == [24, 24]


def test_standard_input_is_a_file_called_minus(program, tmp_path):
    code = (
        "import sys; from pathlib import Path; from earbit.run import run_files;"
        "print(run_files(Path(sys.argv[1]), [Path('-')], Path(sys.argv[2]))[0])"
    )
    content = io.BytesIO()
    soundfile.write(content, 0.1 * np.sin(np.arange(8_000) / 9), 16_000, format="WAV")
    out = tmp_path / "f.npz"
    command = [sys.executable, "-c", code, program, out]
    done = subprocess.run(command, input=content.getvalue(), capture_output=True, check=True)
    assert b"'audio': '-'" in done.stdout
    assert np.load(out)["-"].shape == (24, 64)


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        (None, None),
        (ExpectedTime(59.0, 0.0), None),
        (ExpectedTime(300.0, 0.0), "0 min of audio, about 5 min to run"),
        (ExpectedTime(60.0, 3_000.0), "about 51 min to run; most of it is attention"),
    ],
    ids=["short", "a minute", "linear", "square"],
)
def test_a_run_of_more_than_a_minute_is_announced(
    program, tmp_path, monkeypatch, capsys, expected, line
):
    path = tone(tmp_path / "a.wav")
    monkeypatch.setattr(run, "expected_time", lambda session, waveform, least_s: expected)
    run_files(program, [path], None)
    said = capsys.readouterr().err
    assert said == "" if line is None else said.startswith(f"{path}: 0 min") and line in said


def test_the_time_of_a_long_file_is_shown_beside_the_time_that_has_passed(
    program, tmp_path, monkeypatch
):
    path = tone(tmp_path / "a.wav")
    notes = []

    @contextlib.contextmanager
    def progress(title, total):
        yield lambda n=1, note="": notes.append((n, note))

    monkeypatch.setattr(run, "progress", progress)
    expected = ExpectedTime(200.0, 100.0)
    monkeypatch.setattr(run, "expected_time", lambda session, waveform, least_s: expected)
    run_files(program, [path], None)
    assert notes == [(0, f"{path}: about 300 s"), (1, "")]
