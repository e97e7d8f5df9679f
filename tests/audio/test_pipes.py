"""Audio from pipes and from standard input."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
from audio_bytes import LOSSY, RATE_HZ, wav_bytes

from earbit.audio import source
from earbit.audio.decode import audio_info, read_audio
from earbit.errors import DataError


@pytest.fixture
def fifo(tmp_path):
    """Writes bytes into a named pipe while it is read; returns its path."""
    writers = []

    def write(content):
        path = tmp_path / "pipe"
        os.mkfifo(path)

        def fill():
            # The reader may close its end early.
            with open(path, "wb", buffering=0) as pipe:
                try:
                    pipe.write(content)
                except BrokenPipeError:
                    return

        writers.append(threading.Thread(target=fill))
        writers[-1].start()
        return path

    yield write
    for writer in writers:
        writer.join(timeout=10)
        assert not writer.is_alive()


@pytest.mark.parametrize("name", ["x.wav", "x.flac", *LOSSY])
def test_a_pipe_gives_what_the_file_gives(tmp_path, tone, fifo, name):
    path = tmp_path / name
    soundfile.write(path, tone, RATE_HZ, **LOSSY.get(name, {}))
    np.testing.assert_allclose(read_audio(fifo(path.read_bytes())), read_audio(path), atol=2e-7)


def test_a_pipe_of_too_many_bytes_is_refused(tone, fifo, monkeypatch):
    monkeypatch.setattr(source, "MAX_PIPE_BYTES", 10_000)
    with pytest.raises(DataError, match="from a pipe, which is read into memory; write it to a f"):
        read_audio(fifo(wav_bytes(tone)))


def test_an_empty_pipe_and_one_of_text_are_refused_with_the_conversion_of_a_stream(fifo, tmp_path):
    with pytest.raises(DataError, match="pipe: cannot be decoded .an empty file"):
        read_audio(fifo(b""))
    (tmp_path / "pipe").unlink()
    with pytest.raises(DataError, match="`ffmpeg -i pipe: -f wav pipe:`") as error:
        read_audio(fifo(b"no audio"))
    assert "`ffmpeg -f s16le -ar 16000 -ac 1 -i pipe: -f wav pipe:`" in str(error.value)


def test_the_length_of_a_pipe_is_not_asked_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not known before it is read"):
        audio_info(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input_is_read(tone, name):
    code = f"from earbit.audio.decode import read_audio; print(read_audio({name!r}).size)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=wav_bytes(tone), capture_output=True, check=True)
    assert int(done.stdout) == tone.size


def test_a_terminal_is_refused_before_it_is_read():
    controller, terminal = os.openpty()
    try:
        with pytest.raises(DataError, match="a terminal; pipe an audio file into it"):
            read_audio(os.ttyname(terminal))
    finally:
        os.close(controller)
        os.close(terminal)
