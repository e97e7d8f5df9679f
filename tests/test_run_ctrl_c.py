"""Ctrl-C while `earbit run` decodes a file."""

import signal
import threading

import numpy as np
import pytest
import soundfile

from earbit.audio import with_warning
from earbit.export.verb import export_model
from earbit.run import RunInterrupted, run_files


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "tiny.safetensors"
    export_model("sparseformer-dn-tiny", path, plan="w1a1")
    return path


def tone(path):
    soundfile.write(path, 0.1 * np.sin(np.arange(8_000) / 9), 16_000)
    return path


def test_ctrl_c_drops_the_file_that_is_decoded_and_does_not_wait_for_it(
    program, tmp_path, monkeypatch
):
    paths = [tone(tmp_path / name) for name in ("a.wav", "b.wav")]
    read, never = with_warning.read_audio, threading.Event()
    main = threading.main_thread().ident

    def blocks_at_the_second(path):
        if path == paths[1]:
            signal.pthread_kill(main, signal.SIGINT)
            never.wait()
        return read(path)

    monkeypatch.setattr(with_warning, "read_audio", blocks_at_the_second)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(RunInterrupted, match="^1 of 2 files are done"):
            run_files(program, paths, tmp_path / "f.npz")
    finally:
        signal.signal(signal.SIGINT, before)
        never.set()
    assert list(np.load(tmp_path / "f.npz")) == [str(paths[0])]
