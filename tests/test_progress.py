"""What a person sees who waits; two seconds and ten are shortened, so that the tests are not."""

import io
import sys
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
        advance(3, "loss 1")
        wait_for(lambda: lines.getvalue().count("\n") >= 3)
    shown = lines.getvalue().splitlines()
    assert set(shown) == {"work: 5 of 9, 0 s, about 0 s left loss 1"}


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
