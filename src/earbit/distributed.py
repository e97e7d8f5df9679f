"""Ranks of a training that torchrun starts; without torchrun there is one rank, 0.

Collective functions must be called by all ranks in the same order.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from earbit import progress
from earbit.errors import ConfigError, EarbitError, terminate
from earbit.folder_lock import only_process_in

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

T = TypeVar("T")
# Dead and failed ranks are found by `peers`, so that slow ranks may take any time.
NO_TIMEOUT = timedelta(days=30)
CONNECT_WITHIN_S = 300.0
"""Maximum time from the first rank to the last: dead ranks are found only after all have come."""
_messages: ProcessGroup | None = None
"""Group for Python values: gloo, on the CPU, beside the group of the gradients."""


def rank() -> int:
    """Number of this rank, from 0."""
    return 0 if _messages is None else int(os.environ["RANK"])


def n_ranks() -> int:
    """Number of ranks."""
    return 1 if _messages is None else int(os.environ["WORLD_SIZE"])


def n_ranks_here() -> int:
    """Number of ranks on this machine, which share its cores."""
    return 1 if _messages is None else int(os.environ.get("LOCAL_WORLD_SIZE", n_ranks()))


def launched_ranks() -> int:
    """Number of ranks that the launcher announces, before they are connected.

    Raises ConfigError for several ranks without their numbers, which would each train alone.
    """
    text = os.environ.get("WORLD_SIZE", "1")
    if text in ("", "1"):
        return 1
    if not text.isdecimal() or "RANK" not in os.environ:
        raise ConfigError(f"WORLD_SIZE={text} without RANK; start several processes with torchrun")
    return int(text)


def exchange(value: T) -> list[T]:
    """The values of all ranks, in their order; small Python values."""
    if _messages is None:
        return [value]
    from torch import distributed

    values: list[Any] = [None] * n_ranks()
    distributed.all_gather_object(values, value, group=_messages)
    return values


def total(values: list[float]) -> list[float]:
    """Sums of numbers over all ranks, in double precision; faster than `exchange`."""
    if _messages is None:
        return values
    import torch

    sums = torch.tensor(values, dtype=torch.double)
    torch.distributed.all_reduce(sums, group=_messages)
    return sums.tolist()


def barrier() -> None:
    """Waits for all ranks, without a timeout."""
    exchange(None)


def first(work: Callable[[], T]) -> T:
    """Runs `work` on rank 0 while the others wait; returns its (small) result on all ranks.

    An EarbitError of rank 0 is raised on all ranks.
    """
    if n_ranks() == 1:
        return work()
    result: Any = None
    error: EarbitError | None = None
    if rank() == 0:
        try:
            result = work()
        except EarbitError as raised:
            error = raised
    result, kind, message = exchange((result, type(error), str(error)))[0]
    if error is not None:
        raise error
    if issubclass(kind, EarbitError):
        raise kind(message)
    return result  # type: ignore[no-any-return]


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """`only_process_in` for all ranks of a run: rank 0 holds the lock.

    Raises the errors of `only_process_in` on all ranks.
    """
    with ExitStack() as stack:

        def lock() -> None:
            stack.enter_context(only_process_in(folder))

        first(lock)
        yield


@contextmanager
def process_group() -> Iterator[None]:
    """Context in which the ranks of torchrun are connected; without torchrun it does nothing.

    Gradients travel by NCCL between GPUs and by gloo between CPUs.  Ranks other than 0 print
    nothing but their errors.  A rank that fails or dies ends the others (see `peers`).
    Raises ConfigError if the launcher's variables do not describe a group, and if a rank has not
    come within 5 minutes.
    """
    if launched_ranks() == 1:
        yield
        return
    # DDP warns on every rank if no layer is dropped in the first step.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import torch

    from earbit import peers

    global _messages
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    _prefer_loopback()
    try:
        store, number, n_all = _connected()
        torch.distributed.init_process_group(
            backend, store=store, rank=number, world_size=n_all, timeout=NO_TIMEOUT
        )
        _messages = torch.distributed.new_group(backend="gloo", timeout=NO_TIMEOUT)
    except EarbitError:
        raise
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"the ranks cannot be connected ({error}); start them with torchrun"
        ) from error
    if rank() > 0:
        progress.mute()
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with peers.watched(rank(), n_ranks()):
            yield
            barrier()
    finally:
        # Not destroyed after a failure: that may wait for ranks that have ended.
        _messages = None
        signal.signal(signal.SIGTERM, before)
    torch.distributed.destroy_process_group()


def _connected() -> tuple[Any, int, int]:
    """Store of the launcher to which all ranks have come, rank and number of ranks.

    Raises ConfigError in one rank, and SystemExit in the others, if a rank does not come.
    """
    from torch.distributed.rendezvous import rendezvous

    timeout = timedelta(seconds=CONNECT_WITHIN_S)
    store, number, n_all = next(rendezvous("env://", timeout=timeout))
    keys = [f"earbit/here/{i}" for i in range(n_all)]
    store.set(keys[number], "1")
    until = time.monotonic() + CONNECT_WITHIN_S
    while not store.check(keys):
        if time.monotonic() > until:
            absent = [i for i in range(n_all) if not store.check([keys[i]])]
            mine = str(number)
            if absent and store.compare_set("earbit/absent", "", mine) != mine.encode():
                raise SystemExit(2)  # another rank prints it
            ranks = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
            raise ConfigError(
                f"{len(absent)} of {n_all} ranks did not connect within {CONNECT_WITHIN_S:g} s "
                f"(rank {ranks}); see what they print, and start all again"
            )
        time.sleep(0.1)
    store.set_timeout(NO_TIMEOUT)
    return store, number, n_all


def _prefer_loopback() -> None:
    """Lets gloo use the loopback interface where the name of this machine cannot be resolved."""
    if "GLOO_SOCKET_IFNAME" not in os.environ:
        try:
            socket.getaddrinfo(socket.gethostname(), None)
        except OSError:
            os.environ["GLOO_SOCKET_IFNAME"] = "lo"
