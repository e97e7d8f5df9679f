"""What a person sees who waits; two seconds and ten are shortened, so that the tests are not."""

import io
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from earbit import progress as module
from earbit.progress import progress, say


class Terminal(io.StringIO):
    def isatty(self):
        return True


def standard_error(monkeypatch, stream):
    """Put in place by the test itself: pytest has its own while fixtures are set up."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.fixture
def short_waits(monkeypatch):
    monkeypatch.setattr(module, "SHOWN_AFTER_S", 0.02)
    monkeypatch.setattr(module, "PLAIN_LINE_EVERY_S", 0.05)


def wait_for(is_so):
    deadline_s = time.monotonic() + 20
    while not is_so() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    assert is_so()


def test_the_first_sign_comes_after_two_seconds_and_lines_every_ten():
    assert (module.SHOWN_AFTER_S, module.PLAIN_LINE_EVERY_S) == (2, 10)


@pytest.mark.parametrize("stream_type", [io.StringIO, Terminal])
def test_nothing_is_shown_for_short_work(monkeypatch, stream_type):
    stderr = standard_error(monkeypatch, stream_type())
    with progress("short", 3) as advance:
        for _ in range(3):
            advance(1, "note")
    assert stderr.getvalue() == ""


def test_lines_come_while_a_single_unit_of_work_takes_long(monkeypatch, short_waits):
    lines = standard_error(monkeypatch, io.StringIO())
    with progress("work", 9, done=2) as advance:
        advance(5, "loss 1")
        wait_for(lambda: lines.getvalue().count("\n") >= 3)
    shown = lines.getvalue().splitlines()
    assert set(shown) == {"work: 7 of 9, 0 s, about 0 s left loss 1"}


def test_few_finished_units_give_no_estimate(monkeypatch, short_waits):
    lines = standard_error(monkeypatch, io.StringIO())
    with progress("files", 9) as advance:
        advance(4)
        wait_for(lambda: lines.getvalue())
    assert lines.getvalue().splitlines()[0] == "files: 4 of 9, 0 s"


def test_a_terminal_shows_a_bar_with_what_was_done_before_it_appeared(monkeypatch, short_waits):
    terminal = standard_error(monkeypatch, Terminal())
    with progress("work", 9) as advance:
        advance(4, "loss 1")
        wait_for(lambda: "work" in terminal.getvalue())
    assert "4/9" in terminal.getvalue()
    assert "loss 1" in terminal.getvalue()


def test_work_within_work_has_a_bar_of_its_own_and_both_are_gone_afterwards(
    monkeypatch, short_waits
):
    terminal = standard_error(monkeypatch, Terminal())
    with progress("outer", 2) as advance:
        wait_for(lambda: "outer" in terminal.getvalue())
        with progress("inner", 5) as advance_inner:
            advance_inner(3)
            wait_for(lambda: "inner" in terminal.getvalue())
        advance(2)
    assert "3/5" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()
    with progress("next", 1):
        wait_for(lambda: "next" in terminal.getvalue())


class NoThread(threading.Thread):
    def start(self):
        raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("stream_type", [io.StringIO, Terminal])
def test_without_a_thread_progress_is_shown_as_units_are_done(
    monkeypatch, short_waits, stream_type
):
    shown = standard_error(monkeypatch, stream_type())
    monkeypatch.setattr(threading, "Thread", NoThread)
    with progress("work", 9) as advance:
        advance(3)
        assert shown.getvalue() == ""
        time.sleep(0.03)
        advance(2, "loss 1")
    assert "work" in shown.getvalue()
    assert re.search("5(/| of )9", shown.getvalue())
    assert "loss 1" in shown.getvalue()


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes a user that has no thread yet")
def test_a_limit_of_threads_is_not_an_error():
    code = """
import os, resource, threading
from earbit import progress as module
os.setgid(54321)
os.setuid(54321)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
module.SHOWN_AFTER_S = 0.0
try:
    threading.Thread(target=print).start()
    raise SystemExit("this limit does not hold here")
except RuntimeError:
    pass
with module.progress("work", 2) as advance:
    advance()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("work: 1 of 2")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("stream_type", [io.StringIO, Terminal])
def test_names_in_titles_and_notes_cannot_control_the_terminal(
    monkeypatch, short_waits, stream_type
):
    shown = standard_error(monkeypatch, stream_type())
    with progress("a\x1b]0;x\x07 [b]", 9) as advance:
        advance(1, "c\x1b]0;y\x07 [/d]")
        wait_for(lambda: "[/d]" in shown.getvalue())
    assert r"a\x1b]0;x\x07 [b]" in shown.getvalue()
    assert r"c\x1b]0;y\x07 [/d]" in shown.getvalue()
    assert "\x07" not in shown.getvalue()


def test_nothing_is_shown_once_the_work_has_failed(monkeypatch, short_waits):
    lines = standard_error(monkeypatch, io.StringIO())
    with pytest.raises(KeyError), progress("work", 9):
        raise KeyError
    before = lines.getvalue()
    time.sleep(0.1)
    assert lines.getvalue() == before


def test_what_is_said_is_one_line_on_standard_error(monkeypatch):
    lines = standard_error(monkeypatch, io.StringIO())
    say("half way")
    assert lines.getvalue() == "half way\n"


def test_work_that_is_finished_but_not_closed_is_silent(monkeypatch, short_waits):
    lines = standard_error(monkeypatch, io.StringIO())
    with progress("outer", 2) as outer:
        outer(2)
        with progress("inner", 1):
            wait_for(lambda: lines.getvalue().count("\n") >= 2)
    assert {line.split(":")[0] for line in lines.getvalue().splitlines()} == {"inner"}
    assert "of 1" not in lines.getvalue()


def test_progress_goes_to_a_function_that_another_process_shows(monkeypatch):
    sent = []
    monkeypatch.setattr(module, "_report", None)
    module.send_to(lambda *given: sent.append(given))
    with progress("work", 9, done=2) as advance:
        advance()
        advance(3, "loss 1")
    assert sent == [("work", 3, 9, ""), ("work", 6, 9, "loss 1")]
