"""File names of any bytes, on terminals of any encoding: nothing fails, nothing reaches it raw."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from earbit.cli.main import main

ASCII = {"PYTHONIOENCODING": "ascii"}
LATIN_1 = {"PYTHONIOENCODING": "latin-1"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
HOSTILE = "a\x1b]0;owned\x07\n\u202egpj.wav"
WRITTEN = r"a\x1b]0;owned\x07\n\u202egpj.wav"


def earbit(*args, **environment):
    """A process of its own, whose streams have the encoding that the environment says."""
    command = [sys.executable, "-m", "earbit", *args]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment})


@pytest.mark.parametrize("environment", [ASCII, LATIN_1, C_LOCALE])
def test_help_is_printed_in_any_encoding(environment):
    done = earbit("run", "--help", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"earbit run" in done.stdout


@pytest.mark.parametrize(
    ("environment", "written"),
    [(ASCII, b"nirgends-\\xe4\\u8a9e"), (LATIN_1, b"nirgends-\xe4\\u8a9e")]
    # There the name is bytes, which are written out one by one.
    + [(C_LOCALE, rb"nirgends-\xc3\xa4\xe8\xaa\x9e")],
)
def test_an_error_names_a_file_in_any_encoding(environment, written):
    done = earbit("bench", "nirgends-ä語", **environment)
    assert done.returncode == 2
    assert done.stderr.startswith(b"earbit: " + written + b": no such file")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("environment", [ASCII, C_LOCALE])
def test_a_file_with_a_name_that_the_terminal_lacks_is_run(environment, tmp_path, program):
    path = tmp_path / "äöü.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(8000)), 16_000)
    packed = tmp_path / "ausgäbe.safetensors"
    packed.write_bytes(program.read_bytes())
    out = tmp_path / "merkmale-ä.npz"
    done = earbit("run", str(packed), str(path.parent), "--out", str(out), **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    (record,) = json.loads(done.stdout.decode("ascii"))
    assert record["audio"] == str(path)
    with np.load(out) as arrays:
        assert list(arrays) == [str(path)]


def test_prepare_and_run_read_the_same_files_in_the_c_locale(tmp_path, program):
    root = tmp_path / "in-ä"
    root.mkdir()
    names = ["ü.wav", r"\xff.wav"]
    for name in ("ü.wav".encode(), b"\xff.wav"):
        with open(os.fsencode(root) + b"/" + name, "wb") as file:
            soundfile.write(file, np.zeros(8000), 16_000, format="WAV")
    (root / "bad-ö.wav").write_bytes(b"nothing")
    with open(os.fsencode(root) + b"/bad-\xfe.wav", "wb") as file:
        file.write(b"nothing")
    for lines in ([], [{"path": name} for name in (*names, "bad-ö.wav", r"bad-\xfe.wav")]):
        manifest = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (root / "manifest.jsonl").write_text(manifest, encoding="utf-8")
        if not lines:
            (root / "manifest.jsonl").unlink()
        out = tmp_path / "prepared"
        done = earbit("prepare", "folder", "--root", str(root), "--out", str(out), **C_LOCALE)
        assert done.returncode == 0, done.stderr
        report = json.loads(strict(out / "manifest.json"))
        assert json.loads(done.stdout) == report
        assert report["corpus"] == "in-ä"
        silent = {item["path"] for item in report["silent_files"]}
        assert silent == {f"{root}/{name}" for name in names}
        bad = strict(out / "quarantine.jsonl").splitlines()
        reasons = [json.loads(line)["reason"] for line in bad]
        assert len(reasons) == 2
        assert any("/bad-ö.wav: " in reason for reason in reasons)
        assert any(r"/bad-\xfe.wav: " in reason for reason in reasons)
    done = earbit("run", str(program), str(root), **C_LOCALE)
    audio = {r["audio"] for r in json.loads(done.stdout) if "error" not in r}
    assert audio == silent


def strict(path):
    """The text of a file of JSON without half characters, which strict readers reject."""
    text = path.read_bytes().decode("utf-8")
    assert r"\ud" not in text
    return text


@pytest.fixture
def hostile(tmp_path):
    path = tmp_path / HOSTILE
    soundfile.write(path, 0.1 * np.sin(np.arange(8000)), 16_000, format="WAV")
    return path


def test_a_table_cannot_control_the_terminal(hostile, program, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(["run", str(program), str(hostile)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(str(hostile.parent / WRITTEN) + "  ")


@pytest.mark.parametrize(
    "args",
    [
        ["run", HOSTILE, "x.wav"],
        ["bench", HOSTILE],
        ["profile", HOSTILE],
        ["export", HOSTILE, "--out", "x.safetensors"],
        ["export", "hubert-tiny", "--plan", HOSTILE, "--out", "x.safetensors"],
        ["export", "hubert-tiny", "--out", HOSTILE],
        ["pretrain", HOSTILE, "--out", "x"],
        ["units", HOSTILE, "--out", "x"],
        ["prepare", "folder", "--root", HOSTILE, "--out", "x"],
        ["prepare", HOSTILE, "--out", "x"],
        [HOSTILE],
        ["run", f"--{HOSTILE}"],
        ["bench", "x", "--runs", HOSTILE],
        ["doctor", "--json", f"/dev/null/{HOSTILE}/x"],
    ],
)
def test_an_error_cannot_control_the_terminal(args, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(args)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith("\n")
    assert error[:-1].isprintable()
    assert r"a\x1b]0;owned\x07\n" in error


def test_an_undecodable_name_is_said_with_its_bytes(capsys, tmp_path, program):
    path, written = tmp_path / os.fsdecode(b"\xff.wav"), f"{tmp_path}/\\xff.wav"
    with pytest.raises(SystemExit):
        main(["run", str(program), str(path)])
    captured = capsys.readouterr()
    assert f"{written}: no such file" in captured.err
    assert json.loads(captured.out)[0]["audio"] == written
    with path.open("wb") as file:
        soundfile.write(file, 0.1 * np.sin(np.arange(8000)), 16_000, format="WAV")
    main(["run", str(program), str(path), "--out", str(tmp_path / "x.npz")])
    assert json.loads(capsys.readouterr().out)[0]["audio"] == written
    with np.load(tmp_path / "x.npz") as arrays:
        assert list(arrays) == [written]
