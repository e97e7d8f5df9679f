"""What a user's error prints."""

import re

import pytest

from earbit.cli.main import main

PROGRESS = re.compile(
    r"[\w -]+( of [\w.-]+)?: (\d+ of \d+|\d+ s|by|the corpus)|splits for|making |.*: random weights"
)
"""Plain lines of work that began before the error was found."""


def fails(capsys, *args: str) -> str:
    """The one line that a user's error prints; its exit status must be 2."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(arg) for arg in args])
    captured = capsys.readouterr()
    assert exit_info.value.code == 2
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not PROGRESS.match(line)]
    assert len(lines) == 1
    assert lines[0].startswith("earbit: ")
    return lines[0]
