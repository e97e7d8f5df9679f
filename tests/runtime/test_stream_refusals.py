"""What `earbit run --stream` refuses, as `earbit run` does."""

import io
import shlex
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile
from programs_with_heads import write_heads

from earbit.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    write_heads(folder)
    return folder


@pytest.mark.parametrize("name", ["sequence", "keywords-w1a1"])
@pytest.mark.parametrize("n", [0, 1, 100])
def test_audio_that_is_too_short_for_any_result_is_refused(
    folder, name, n, tmp_path, monkeypatch, capsys
):
    program = name if name == "keywords-w1a1" else folder / f"{name}.safetensors"
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(n, np.float32), 16_000)
    pipe = io.BytesIO(short.read_bytes())
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=pipe))
    for audio in (short, "-"):
        with pytest.raises(SystemExit) as end:
            main(["run", str(program), "--stream", str(audio)])
        assert end.value.code == 2
        captured = capsys.readouterr()
        said = captured.err.splitlines()[-1]
        if n:
            assert (
                f"earbit: {audio}: audio of {n} sample{'s' * (n > 1)} at 16 kHz; the program needs"
                in said
            )
        else:
            assert f"earbit: {audio}: no samples in it" in said
            assert "needs whole clips" not in captured.err
        assert not captured.out


def test_standard_input_that_was_closed_is_refused_as_without_a_stream(folder):
    for more in ([], ["--stream"]):
        command = [sys.executable, "-m", "earbit", "run", str(folder / "sequence.safetensors"), "-"]
        line = f"{shlex.join([*command, *more])} <&-"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
        assert done.returncode == 2
        assert "-: cannot be read (Bad file descriptor)" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_streamed_is_named_with_the_place(tmp_path, capsys):
    audio = np.zeros((40_000, 2), np.float32)
    audio[30_000, 1] = np.nan
    soundfile.write(tmp_path / "nan.wav", audio, 16_000, subtype="FLOAT")
    for more in ([], ["--stream"]):
        with pytest.raises(SystemExit):
            main(["run", "keywords-w1a1", str(tmp_path / "nan.wav"), *more])
        assert (
            f"{tmp_path / 'nan.wav'}: sample 30000 (1.875 s) is NaN or infinite; leave it out or "
            "write it again"
        ) in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "keywords-w1a1", str(tmp_path / "gone.wav"), "--stream"])
    assert len(capsys.readouterr().err.splitlines()) == 1  # without a notice of whole clips
