"""Worker processes that read audio ahead of the training."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from earbit.audio.child_process import end_with_parent
from earbit.errors import DataError, EarbitError

MAX_AUTO_WORKERS = 4
"""Processes by default.  One decodes several hundred seconds of flac per second, more than a GPU
trains on; the others hide the waiting for disks and networks."""
AHEAD = 2
"""Items that a process makes ahead."""
GRACE_S = 1.0
"""Time for the processes to end by themselves, before they are killed in a read that hangs."""

Item = TypeVar("Item")
Made = TypeVar("Made")


def auto_workers(n_ranks_here: int = 1) -> int:
    """Processes for each rank: at most MAX_AUTO_WORKERS, and a core is left to the rank itself.

    None outside of Linux, where libraries of the system do not survive a fork.
    """
    if sys.platform != "linux":
        return 0
    return max(0, min(MAX_AUTO_WORKERS, len(os.sched_getaffinity(0)) // n_ranks_here - 1))


def made_ahead(
    make: Callable[[Item], Made], items: Iterable[Item], n_workers: int
) -> Generator[Made, None, None]:
    """Yields `make(item)` in order.

    make: returns objects without tensors, which would need shared memory; containers have 64 MB of
    it.  With `n_workers` of 0 it runs in this process.  Processes are forked, so `make` may hold
    large data; they ignore the signals of the process group and end with this process.  Errors of
    earbit are raised here as they are.  Raises DataError if a process dies.
    """
    if not n_workers:
        yield from map(make, items)
        return
    before = _child_handler()
    with warnings.catch_warnings():
        # torch warns of more processes than cores, which may be right for a slow disk.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        # A generator of its own: by default a seed is drawn from torch's global one.
        loader: Any = DataLoader(
            _Made(make),
            batch_size=None,
            sampler=items,
            num_workers=n_workers,
            collate_fn=_as_it_is,
            prefetch_factor=AHEAD,
            multiprocessing_context="fork",
            worker_init_fn=_Beginning(),
            generator=torch.Generator(),
        )
        made = iter(loader)
    # The handler of torch raises wherever the training is; a dead process is found below as well.
    if before is not None:
        signal.signal(signal.SIGCHLD, before)
    try:
        for value in made:
            if isinstance(value, EarbitError):
                raise value
            yield value
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            f"a process that reads audio ended unexpectedly ({str(error).splitlines()[0]}); if "
            "memory ran out, set train.machine.workers to a smaller number, 0 for none"
        ) from error
    finally:
        _end(made)


def _end(made: Any) -> None:
    """Ends the processes of an iterator of DataLoader.

    Its own `_shutdown_workers` sends SIGTERM, which they ignore, and Python would wait for them.
    """
    if not made._shutdown:
        made._workers_done_event.set()
        for queue in made._index_queues:
            queue.put(None)
        until = time.monotonic() + GRACE_S
        for process in made._workers:
            process.join(max(0.0, until - time.monotonic()))
            process.kill()
    made._shutdown_workers()


def _child_handler() -> Any:
    """The handler of SIGCHLD, or None in a thread, which can set none."""
    if threading.current_thread() is threading.main_thread():
        return signal.getsignal(signal.SIGCHLD)
    return None


def _as_it_is(made: Any) -> Any:
    return made


class _Made(Dataset[Any]):
    """What `make` returns or raises, by item."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __getitem__(self, item: Any) -> Any:
        try:
            return self._make(item)
        except EarbitError as error:
            # torch would put its traceback into the message.
            return error


class _Beginning:
    """Prepares a worker process."""

    def __init__(self) -> None:
        self._parent = os.getpid()

    def __call__(self, worker: int) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        end_with_parent(self._parent)
        # Collecting garbage would touch, and so copy, the pages shared with the parent.
        gc.freeze()
        torch.set_num_threads(1)
