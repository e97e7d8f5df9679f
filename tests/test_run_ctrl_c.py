"""Ctrl-C during `earbit run`."""

import signal
import threading

import numpy as np
import pytest
import soundfile

from earbit.export.verb import export_model
from earbit.run import RunInterrupted, run_files
from earbit.runtime import Session


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "tiny.safetensors"
    export_model("sparseformer-dn-tiny", path, plan="w1a1")
    return path


def tone(path):
    soundfile.write(path, 0.1 * np.sin(np.arange(8_000) / 9), 16_000)
    return path


def test_ctrl_c_drops_the_file_that_is_computed_and_does_not_wait_for_it(
    program, tmp_path, monkeypatch
):
    paths = [tone(tmp_path / name) for name in ("a.wav", "b.wav")]
    run, never = Session.run, threading.Event()
    main = threading.main_thread().ident

    def blocks_at_the_second(session, waveform, layers="last"):
        blocks_at_the_second.calls += 1
        if blocks_at_the_second.calls == 2:
            signal.pthread_kill(main, signal.SIGINT)
            never.wait()
        return run(session, waveform, layers)

    blocks_at_the_second.calls = 0
    monkeypatch.setattr(Session, "run", blocks_at_the_second)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(RunInterrupted, match="^1 of 2 files are done"):
            run_files(program, paths, tmp_path / "f.npz")
    finally:
        signal.signal(signal.SIGINT, before)
        never.set()
    assert list(np.load(tmp_path / "f.npz")) == [str(paths[0])]
