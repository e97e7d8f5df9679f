"""A session under load: many threads, many calls, forks, little memory, any audio."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_programs import write_programs

from earbit.errors import DataError
from earbit.runtime import Session

NAMES = ("norms", "products", "binary_attention", "float_attention")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    write_programs(folder)
    return folder


@pytest.fixture
def session(folder):
    return Session(folder / "binary_attention.safetensors", threads=2)


def noise(seed, n_samples=1600):
    return np.random.default_rng(seed).uniform(-1, 1, n_samples).astype(np.float32)


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    ("n_threads", "n_calls"), [(16, 12), pytest.param(64, 200, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", NAMES)
def test_callers_at_the_same_time_get_the_bits_of_one_caller(folder, name, n_threads, n_calls):
    session = Session(folder / f"{name}.safetensors", threads=2)
    audio = [noise(seed, 400 + 111 * seed) for seed in range(7)]
    expected = [session.run(a, layers="all").tobytes() for a in audio]

    def calls(caller):
        return [
            session.run(audio[(caller + i) % 7], layers="all").tobytes() for i in range(n_calls)
        ]

    with ThreadPoolExecutor(n_threads) as callers:
        for caller, found in enumerate(callers.map(calls, range(n_threads))):
            assert found == [expected[(caller + i) % 7] for i in range(n_calls)]


def test_a_call_of_the_same_length_touches_no_page_for_the_first_time(folder):
    # In a process of its own, whose heap nobody has filled before.
    program = folder / "norms.safetensors"
    code = f"""
import resource, numpy as np
from earbit.runtime import Session
session = Session({str(program)!r})
audio = np.zeros(200 * 16_000, np.float32)
def n_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    session.run(audio)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(*(n_faults() for _ in range(4)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *later = map(int, done.stdout.split())
    assert first > 3000  # 15 MB behind the first convolution
    assert max(later[1:]) < first / 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads its own memory from /proc")
def test_short_calls_after_a_long_one_give_its_memory_back(folder):
    # In a process of its own: a heap that grew before keeps what it is given back.
    program = folder / "norms.safetensors"
    code = f"""if True:
        import pathlib
        import numpy as np
        from earbit.runtime import Session
        def resident_bytes():
            return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
        session = Session({str(program)!r})
        short = np.sin(np.arange(1600)).astype(np.float32)
        session.run(short)
        before = resident_bytes()
        session.run(np.zeros(600 * 16_000, np.float32))  # 46 MB behind the first convolution
        held = resident_bytes() - before
        for _ in range(3):
            session.run(short)
        print(held, resident_bytes() - before)
    """
    held, kept = map(int, in_a_new_process(code))
    assert held > 32 * 2**20, "else this tests nothing"
    assert kept < 8 * 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads its own memory from /proc")
@pytest.mark.parametrize("n_calls", [2000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_calls_and_sessions_leave_no_memory_behind(folder, session, n_calls):
    audio = noise(0)

    def work(n):
        for i in range(n):
            session.run(audio)
            if i % 10 == 0:
                Session(folder / "products.safetensors").run(audio)
            if i % 50 == 0:
                with pytest.raises(DataError):
                    session.run(audio[:399])

    work(300)
    before = resident_bytes()
    work(n_calls)
    assert resident_bytes() - before < 2**20


def in_a_new_process(code):
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_children_forked_after_loading_run_while_the_parent_does(folder):
    code = f"""if True:
        import os, threading
        import numpy as np
        from earbit.runtime import Session
        session = Session({str(folder / "binary_attention.safetensors")!r}, threads=3)
        audio = np.sin(np.arange(4000)).astype(np.float32)
        expected = session.run(audio).tobytes()
        stop = threading.Event()
        def work():
            while not stop.is_set():
                session.run(audio)
        threads = [threading.Thread(target=work) for _ in range(3)]
        [t.start() for t in threads]
        children = []
        for _ in range(8):
            child = os.fork()
            if child == 0:
                os._exit(0 if session.run(audio).tobytes() == expected else 3)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        stop.set()
        [t.join() for t in threads]
        print(*codes)
    """
    assert in_a_new_process(code) == ["0"] * 8


@pytest.mark.skipif(sys.platform != "linux", reason="limits its own memory, as Linux can")
@pytest.mark.parametrize(("stack_bytes", "fewest", "most"), [(2**28, 0, 0), (2**23, 1, 8)])
def test_where_few_threads_or_none_can_be_started_the_rest_is_computed_without(
    folder, stack_bytes, fewest, most
):
    code = f"""if True:
        import resource
        import numpy as np
        from earbit.runtime import Session
        def n_threads():
            return int(open("/proc/self/status").read().split("Threads:")[1].split()[0])
        path = {str(folder / "binary_attention.safetensors")!r}
        audio = np.sin(np.arange(100_000)).astype(np.float32)
        expected = Session(path).run(audio).tobytes()
        session = Session(path, threads=200)
        in_use = int(open("/proc/self/statm").read().split()[0]) * 4096
        before = n_threads()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**26, in_use + 2**26))
        print(session.run(audio).tobytes() == expected, n_threads() - before)
    """
    # The stack of a thread is as large as that of its process may be at the start.
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_STACK, ({stack_bytes},) * 2); "
    start = f"import os, sys; os.execv(sys.executable, [sys.executable, '-c', {code!r}])"
    is_same, n_started = in_a_new_process(limit + start)
    assert is_same == "True"
    assert fewest <= int(n_started) <= most


@pytest.mark.parametrize("n_samples", [0, 1, 399])
def test_audio_shorter_than_a_frame_is_a_typed_error(session, n_samples):
    with pytest.raises(DataError, match=f"{n_samples} samples; allowed are 400"):
        session.run(noise(0, n_samples))


def test_the_shortest_audio_gives_a_result(session):
    assert len(session.run(noise(0, 400))) == 39, "windows of 20 samples, every 10 samples"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_audio_that_is_not_finite_is_a_typed_error(session, bad):
    audio = noise(0)
    audio[[0, -1]] = bad
    with pytest.raises(DataError, match="2 samples that are NaN or infinite"):
        session.run(audio)


@pytest.mark.slow
def test_half_an_hour_of_audio_gives_a_result(tmp_path):
    from earbit.export.verb import export_model

    path = tmp_path / "p.safetensors"
    export_model("sparseformer-dn-tiny", path, plan="w1a1")
    features = Session(path, threads=2).run(noise(0, 16_000 * 60 * 30))
    assert len(features) == (16_000 * 60 * 30 - 400) // 320 + 1
    assert np.isfinite(features).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_fork_runs_what_other_threads_of_its_parent_are_running():
    # Many tiny values, so that threads are nearly always asking for memory when the fork comes.
    code = """
import os, threading, numpy as np
from earbit import _core
program, value = _core.Program(), 0
for _ in range(400):
    value = program.add("mean_frames", [value], {}, {}, {})
audio = np.ones(4, np.float32)
is_over = threading.Event()
def work():
    while not is_over.is_set():
        program.run(audio, [value], 1)
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(60):
    child = os.fork()
    if child == 0:
        os._exit(0 if program.run(audio, [value], 1)[0][0, 0] == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
is_over.set()
for thread in threads:
    thread.join()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="measures its own memory, as Linux can")
def test_a_chain_of_any_length_keeps_its_result_alone():
    code = """
import numpy as np
from earbit import _core
from earbit.bench.measure import peak_rss_bytes
program, value = _core.Program(), 0
ints = {"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0, "groups": 1}
value = program.add("conv_f32", [0], ints, {}, {"weight": np.ones((1, 1), np.float32)})
for _ in range(12):
    value = program.add("relu", [value], {}, {}, {})
audio = np.ones(4_000_000, np.float32)
before = peak_rss_bytes()
program.run(audio, [value], 1)
print(peak_rss_bytes() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 16_000_000 < int(done.stdout) < 2 * 16_000_000
