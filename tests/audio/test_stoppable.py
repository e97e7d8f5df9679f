"""Ctrl-C ends the wait for a file that is decoded, and errors stay what they are."""

import signal
import threading

import pytest

from earbit.audio.stoppable import stoppable


@pytest.fixture
def ctrl_c():
    """Starts a timer that sends the signal of Ctrl-C to the main thread."""
    main = threading.main_thread().ident
    timer = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield timer.start
    timer.cancel()
    timer.join()
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_the_wait_for_work_that_does_not_end(ctrl_c):
    never = threading.Event()
    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        stoppable(never.wait)
    never.set()


def test_results_and_errors_are_those_of_the_work():
    assert stoppable(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        stoppable(lambda: 1 // 0)


def test_where_no_thread_can_be_started_the_work_is_done_in_this_one(monkeypatch):
    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert stoppable(threading.get_ident) == threading.get_ident()
