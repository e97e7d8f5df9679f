"""A process ends with the status of its main thread, whatever its daemon threads are computing."""

import subprocess
import sys

import numpy as np
import pytest
from packed_reference import PLAIN
from test_session import op, write

from earbit.errors import FormatError
from earbit.runtime import Session
from native_build import built, ran

WORK = {
    "run": "session.run(audio)",
    "all layers": "session.run_batch([audio, audio[:8000]], layers='all')",
    "profile": "session.profile(audio)",
    "open": "Session(path)",
    "refused": "refuse()",
}
CODE = """if True:
    import sys, threading, time
    import numpy as np
    from earbit.errors import FormatError
    from earbit.runtime import Session
    path = sys.argv[1]
    session = Session(path, threads=2)
    audio = np.zeros(16000, np.float32)
    def refuse():
        try:
            Session(sys.argv[2])
        except FormatError:
            pass
    def loop():
        while True:
            {work}
            is_running.set()
    is_running = threading.Event()
    for _ in range(2):
        threading.Thread(target=loop, daemon=True).start()
    is_running.wait()
    time.sleep({pause_s})
    sys.exit({status})
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A program of some milliseconds, and a file that is refused when its tensors are read."""
    folder = tmp_path_factory.mktemp("exit")
    ops = [op("conv_f32", [0], PLAIN, tensors=["weight"]), op("gelu", [1]), op("gelu", [2])]
    tensors = {"weight": np.ones((64, 1), np.float32)}
    program = write(folder / "program.safetensors", ops, [2, 3], tensors)
    tensors = {"weight": np.ones((64, 2), np.float32)}
    refused = write(folder / "refused.safetensors", ops, [2, 3], tensors)
    with pytest.raises(FormatError, match="weight"):
        Session(refused)
    return program, refused


def ends_well(files, work, n_times):
    """Runs the loops `n_times`; the exit comes at another point of the work each time."""
    for i in range(n_times):
        status = i % 2 * 3
        code = CODE.format(work=WORK[work], pause_s=0.0007 * (i % 30), status=status)
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, files)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (status, ""), f"{work}, time {i}"


@pytest.mark.parametrize("work", WORK)
def test_an_exit_beside_daemon_threads_keeps_its_status_and_prints_nothing(files, work):
    ends_well(files, work, 6)


@pytest.mark.slow
@pytest.mark.parametrize("work", WORK)
def test_sixty_exits_beside_daemon_threads_keep_their_status_and_print_nothing(files, work):
    ends_well(files, work, 60)


def test_a_program_in_c_may_exit_while_its_threads_run(files):
    for _ in range(20):
        assert ran(built("debug") / "exit_beside_runs", files[0]) == ""


def test_a_daemon_thread_can_still_be_joined_by_an_exit_handler(files):
    """Handlers run before the interpreter ends, so what they wait for still runs."""
    code = """if True:
        import atexit, sys, threading
        stop = threading.Event()
        n_runs = []
        def end():
            before = len(n_runs)
            while len(n_runs) < before + 3:
                pass
            stop.set()
            thread.join()
            print("joined")
        atexit.register(end)  # runs last: before anything that the runtime might register
        import numpy as np
        from earbit.runtime import Session
        session = Session(sys.argv[1])
        audio = np.zeros(16000, np.float32)
        def loop():
            while not stop.is_set():
                session.run(audio)
                n_runs.append(1)
        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(files[0])], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "joined\n", "")
