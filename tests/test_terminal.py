"""What is printed cannot control a terminal, and every encoding takes it."""

import io
import os
import sys
import unicodedata

import pytest

from earbit.output import emit
from earbit.progress import say
from earbit.terminal import accept_any_text, printable, printable_lines
from earbit.text_table import aligned


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("speech.wav", "speech.wav"),
        ("ausgäbe 語 🎵.wav", "ausgäbe 語 🎵.wav"),
        ("narrow\u202fspace", "narrow\u202fspace"),
        ("red\x1b[31m", r"red\x1b[31m"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        (os.fsdecode(b"\xff\xe4.wav"), r"\xff\xe4.wav"),
        ("\ud800", r"\ud800"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("gpj.\u202ewav", r"gpj.\u202ewav"),
    ],
)
def test_what_controls_a_terminal_is_written_out_and_all_else_stays(name, written):
    assert printable(name) == written


def test_no_control_character_is_left_over():
    text = "".join(map(chr, range(sys.maxunicode + 1)))
    left = {unicodedata.category(character) for character in printable(text)}
    assert not left & {"Cc", "Cs", "Zl", "Zp"}


def test_lines_stay_lines():
    assert printable_lines("a\x1bb\nc\rd\n") == "a\\x1bb\nc\\rd\n"


def test_every_way_to_a_person_is_guarded(capsys):
    say("a\x1b\nb")
    emit({}, None, "\n".join(aligned([("c\x1b\n", "d"), ("e", "f\r")])))
    captured = capsys.readouterr()
    assert captured.err == "a\\x1b\\nb\n"
    assert captured.out == "c\\x1b\\n    d\ne        f\\r\n"


def test_a_stream_of_any_encoding_takes_any_text(monkeypatch):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=name) for name in ("ascii", "latin-1")]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    accept_any_text()
    print("ä語")
    print("ä語", file=sys.stderr)
    for stream, expected in zip(streams, (rb"\xe4\u8a9e", b"\xe4\\u8a9e"), strict=True):
        stream.flush()
        assert stream.buffer.getvalue() == expected + b"\n"


def test_a_stream_that_was_closed_before_the_start_takes_text_too(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    accept_any_text()
    assert not sys.stdout.isatty()
    say("dropped")
