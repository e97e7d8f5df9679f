"""The command line.

Exit status: 0 on success, 2 on a user's error (one line on standard error), 1 on a bug in earbit.
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
    # Waiting PyTorch threads spin for milliseconds.  Beside any other busy
    # process, small steps become a hundred times slower.  Read when PyTorch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        # Imported here: this takes most of a short command's time and may be interrupted.
        from earbit.cli.commands import COMMANDS
        from earbit.cli.parse import parse

        parse(COMMANDS, args)()
    except EarbitError as error:
        say(f"earbit: {error}")
        raise SystemExit(2) from None
    except BrokenPipeError:
        # The reader of the output has closed it (`earbit doctor | head`), which is not an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except KeyboardInterrupt as end:
        # The message of the command names the results that are kept.
        say(f"earbit: interrupted{f'; {end}' if str(end) else ''}")
        raise SystemExit(130) from None
