"""Points are every length with every number of threads; what disturbs them is said."""

import os

import pytest

from earbit.bench import quiet
from earbit.bench.points import points_of
from earbit.bench.quiet import warn_of_disturbance
from earbit.errors import ConfigError


def test_points_are_every_pair_once_and_say_what_they_are():
    points = points_of((1, 2.5, 1), (1, 2))
    assert list(map(str, points)) == [
        "1 s, 1 thread",
        "1 s, 2 threads",
        "2.5 s, 1 thread",
        "2.5 s, 2 threads",
    ]


def test_an_option_without_a_number_is_an_error():
    with pytest.raises(ConfigError, match="--seconds without a number"):
        points_of((), (1,))
    with pytest.raises(ConfigError, match="--threads without a number"):
        points_of((1,), ())


@pytest.mark.parametrize(
    ("load", "threads", "said"),
    [
        (0.3, (1,), []),
        (2.9, (1,), []),
        (4.1, (1,), ["warning: other work is going on (load average 4.1 on 4 processor(s))"]),
        (0.7, (1, 4), ["warning: other work is going on (load average 0.7 on 4 processor(s))"]),
        (0.0, (8, 1), ["warning: 8 threads on 4 processor(s)"]),
        (9.0, (8,), ["warning: 8 threads on 4", "warning: other work is going on"]),
    ],
)
def test_a_busy_machine_and_too_many_threads_are_said_in_a_line_each(
    monkeypatch, capsys, load, threads, said
):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(quiet, "usable_cores", lambda: 4)
    warn_of_disturbance(threads)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(said)
    for line, start in zip(lines, said, strict=True):
        assert line.startswith(start)
