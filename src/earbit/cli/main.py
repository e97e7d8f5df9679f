"""The command line.

Exit status: 0 on success, 2 on a user's error (one line on standard error), 1 on a bug of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from earbit import __version__
from earbit.cli.environment import complete_environment
from earbit.errors import EarbitError
from earbit.progress import say
from earbit.terminal import accept_any_text


def main(args: Sequence[str] | None = None) -> None:
    """Runs one command and exits."""
    args = sys.argv[1:] if args is None else args
    accept_any_text()
    complete_environment()
    if list(args) == ["--version"]:
        print(f"earbit {__version__}")
        return
    # Threads of PyTorch that wait for each other spin for milliseconds; beside any other busy
    # process that makes small steps a hundred times slower.  Read when PyTorch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        # Here, as they take most of a short command's time, in which it may be interrupted.
        from earbit.cli.commands import COMMANDS
        from earbit.cli.parse import parse

        parse(COMMANDS, args)()
    except EarbitError as error:
        say(f"earbit: {error}")
        raise SystemExit(2) from None
    except BrokenPipeError:
        # The reader of our output has gone (`earbit doctor | head`); that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except KeyboardInterrupt as end:
        # The command knows what is kept, if anything is.
        say(f"earbit: interrupted{f'; {end}' if str(end) else ''}")
        raise SystemExit(130) from None
