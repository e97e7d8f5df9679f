"""The command line.

Exit status: 0 on success, 2 on a user's error (one line on standard error), 1 on a bug in earbit,
130 after Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from earbit import __version__
from earbit.errors import ConfigError, DataError, EarbitError, Terminated, terminate
from earbit.extras import needed_for_training
from earbit.progress import say, say_always
from earbit.terminal import accept_any_text

DISTRIBUTED = ("pretrain", "study", "units")
"""Commands that torchrun may start."""
OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Of standard output: a full disk, a quota, a limit of size, a failed disk, no output."""


def main(args: Sequence[str] | None = None) -> None:
    """Runs one command and exits."""
    args = sys.argv[1:] if args is None else args
    try:
        accept_any_text()
        with _standard_output():
            _run(args)
    except EarbitError as error:
        say_always(f"earbit: {error}")
        raise SystemExit(2) from None
    except BrokenPipeError:
        # The reader of the output has closed it (`earbit doctor | head`), which is not an error.
        _drop_output()
        raise SystemExit(0) from None
    except KeyboardInterrupt as end:
        # The message of the command names the results that are kept.
        is_terminated = isinstance(end, Terminated)
        what = "ended by SIGTERM" if is_terminated else "interrupted"
        say(f"earbit: {what}{f'; {end}' if str(end) else ''}")
        raise SystemExit(128 + (signal.SIGTERM if is_terminated else signal.SIGINT)) from None


def _run(args: Sequence[str]) -> None:
    # Imported here: this takes most of a short command's time and may be interrupted.
    from earbit.cli.environment import complete_environment

    complete_environment()
    if list(args) == ["--version"]:
        print(f"earbit {__version__}")
        return
    # Waiting PyTorch threads spin for milliseconds.  Beside any other busy
    # process, small steps become a hundred times slower.  Read when PyTorch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from earbit.cli.commands import COMMANDS
    from earbit.cli.parse import parse

    with _sigterm(), _training_packages(args), _ranks(args):
        parse(COMMANDS, args)()


@contextmanager
def _standard_output() -> Iterator[None]:
    """Context after which all output is written; raises DataError where that fails."""
    try:
        try:
            yield
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno not in OUTPUT_ERRORS or error.filename or not _is_output_broken():
            raise
        _drop_output()
        raise DataError(
            f"standard output cannot be written ({error.strerror}); send it to another place"
        ) from error


def _is_output_broken() -> bool:
    """Whether a further line fails as well, so that the error is one of standard output."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # not a file, as in tests
        return False
    try:
        sys.stdout.flush()
        os.write(descriptor, b"\n")  # without a buffer, nothing was left to flush
    except OSError:
        return True
    return False


def _drop_output() -> None:
    """Redirects standard output, with the contents of its buffer, to the null device."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _sigterm() -> Iterator[None]:
    """Context in which SIGTERM ends the command as Ctrl-C does, unless the caller handles it."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _training_packages(args: Sequence[str]) -> Iterator[None]:
    """Context in which a missing package of the extra `train` is a user's error."""
    try:
        yield
    except ModuleNotFoundError as missing:
        error = needed_for_training(missing, f"`earbit {args[0]}`")
        if error is None:
            raise
        raise error from missing


def _ranks(args: Sequence[str]) -> AbstractContextManager[None]:
    """The ranks of torchrun, connected; without torchrun nothing.

    Raises ConfigError for a command that runs in one process.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or "RANK" not in os.environ:
        return nullcontext()
    command = args[0] if args else ""
    if command not in DISTRIBUTED:
        if os.environ["RANK"] != "0":
            raise SystemExit(2)
        raise ConfigError(
            f"`earbit {command}` runs in one process; start it without torchrun (with torchrun: "
            f"{', '.join(DISTRIBUTED)})"
        )
    from earbit.distributed import process_group

    return process_group()
