"""Runs that would take minutes end when Ctrl-C or earbit_cancel asks for it."""

import os
import signal
import threading

import numpy as np
import pytest
from program_parts import front_end

from earbit.export.program import Program, write_program
from earbit.runtime import Session
from native_build import built, ran

LONG = 16_000 * 1200
"""Samples whose attention takes minutes: 1.9 million frames, all of which see all others."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    program = Program()
    value = front_end(program, 12)
    ints = {"heads": 3, "radius": -1}
    seen = program.add("attention_f32", [value] * 3, ints=ints, floats={"score_scale": 0.5})
    program.outputs = [seen]
    path = tmp_path_factory.mktemp("cancel") / "program.safetensors"
    write_program(program, path, {"name": "long"})
    return path


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["run", "profile"])
def test_ctrl_c_ends_a_run_in_the_main_thread_and_the_session_goes_on(path, threads, method):
    session = Session(path, threads)
    audio = np.sin(np.arange(4000)).astype(np.float32)
    before = session.run(audio)
    for _ in range(2):
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            getattr(session, method)(np.zeros(LONG, np.float32))
        timer.join()
    assert np.array_equal(session.run(audio), before)


def test_a_handler_that_raises_nothing_ends_nothing(path):
    session = Session(path)
    seen = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        audio = np.zeros(16_000 * 30, np.float32)
        while not seen:
            assert len(session.run(audio)) == 47_999
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_an_exception_of_another_handler_is_raised_as_it_is(path):
    def refuse(number, frame):
        raise OSError("by the handler")

    previous = signal.signal(signal.SIGUSR1, refuse)
    try:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        with pytest.raises(OSError, match="by the handler"):
            Session(path).run(np.zeros(LONG, np.float32))
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)


@pytest.mark.parametrize("preset", ["asan", "tsan"])
def test_earbit_cancel_ends_all_runs_that_have_begun_and_none_later(path, preset):
    said = ran(built(preset) / "cancel", path)
    assert said == "2 cancelled, then the same features\n"
