"""Finds ranks that failed or died, and ends this rank then with one line from one of them.

Every rank says in the store of the launcher that it is alive.  A thread reads what the others say,
so that ranks that wait for each other need no timeout.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch import distributed

from earbit.errors import EarbitError, Terminated
from earbit.progress import say_always

EVERY_S = 1.0
DEAD_AFTER_S = 45.0
"""A rank on another machine counts as dead when it says nothing for this long."""
END_WITHIN_S = 5.0
"""Time for this rank to end by itself after another one failed."""
INTERRUPTED_WITHIN_S = 5.0
"""Time until all ranks say that they are interrupted: each ends its reading processes before."""
FAILED = "failed"
STATUS = 1


@contextmanager
def watched(rank: int, n_ranks: int) -> Iterator[None]:
    """Context in which this rank ends within a minute when another one fails or dies.

    The first rank that fails prints its error; the others end silently with status 1.  A rank that
    died without a message is reported by one of the others.  A rank that is interrupted alone ends
    the others too.
    """
    watcher = _Watcher(rank, n_ranks)
    thread = threading.Thread(target=watcher.run, daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt as end:
        # torchrun sends SIGTERM when another rank has died, which this one has the time to report.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # Mostly all ranks end after the same step.
        if not watcher.all_interrupted_within(INTERRUPTED_WITHIN_S):
            if watcher.others_failed_within(EVERY_S):
                raise SystemExit(STATUS) from None
            what = "ended by SIGTERM" if isinstance(end, Terminated) else "interrupted"
            if watcher.claim(what):
                say_always(f"earbit: rank {rank} of {n_ranks} was {what}; the other ranks end")
        watcher.end(thread)
        raise
    except SystemExit:  # of --help, on all ranks
        watcher.end(thread)
        raise
    except EarbitError as error:
        if not watcher.claim(str(error)):
            raise SystemExit(2) from None
        error.args = (f"rank {rank} of {n_ranks}: {error}",)
        watcher.end(thread)
        raise
    except BaseException as error:
        # torchrun ends all ranks when one has died, and this one has yet to report it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # Mostly the broken connection to a rank that has just failed, which then has its own line.
        if watcher.others_failed_within(DEAD_AFTER_S if watcher.is_remote else END_WITHIN_S):
            raise SystemExit(STATUS) from None
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        if watcher.claim(reason):
            traceback.print_exc()
            say_always(f"earbit: rank {rank} of {n_ranks}: {reason}")
        raise SystemExit(STATUS) from None
    watcher.end(thread)


class _Watcher:
    """Says that a rank is alive and looks at the others."""

    def __init__(self, rank: int, n_ranks: int) -> None:
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        # A connection of its own, because the thread uses it at any time.
        connection = distributed.TCPStore(  # type: ignore[attr-defined]
            address, port, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=30)
        )
        self.store = distributed.PrefixStore(  # type: ignore[attr-defined]
            f"earbit/{attempt}", connection
        )
        self.rank, self.n_ranks = rank, n_ranks
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.seen: dict[int, tuple[str, float]] = {}
        here = {"pid": os.getpid(), "host": socket.gethostname(), "machine": _machine()}
        self.store.set(f"who/{rank}", json.dumps(here))
        self.store.set(f"alive/{rank}", "0")
        self.who: dict[int, dict[str, Any]] = {
            i: json.loads(self.store.get(f"who/{i}")) for i in range(n_ranks)
        }
        self.is_remote = any(who["machine"] != here["machine"] for who in self.who.values())

    def run(self) -> None:
        """Body of the thread."""
        beat = 0
        while not self.ended.wait(EVERY_S):
            beat += 1
            try:
                with self.lock:
                    self.store.set(f"alive/{self.rank}", str(beat))
                is_over = self.is_any_failed()
            except RuntimeError:  # the store has ended with the launcher, or with rank 0
                is_over = True
            if is_over:
                if not self.ended.wait(END_WITHIN_S):
                    os._exit(STATUS)
                return

    def is_any_failed(self) -> bool:
        """Whether a rank has failed; claims and prints the failure of one that died."""
        with self.lock:
            if self.store.check([FAILED]):
                return True
            dead = next((i for i in range(self.n_ranks) if self._is_dead(i)), None)
        if dead is None:
            return False
        who = self.who[dead]
        reason = f"process {who['pid']} on {who['host']} ended without a message (killed?)"
        if self.claim(reason):
            say_always(f"earbit: rank {dead} of {self.n_ranks}: {reason}; the other ranks end")
        return True

    def others_failed_within(self, seconds: float) -> bool:
        """Waits until another rank is known to have failed; returns whether one has."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if self.is_any_failed():
                    return True
            except RuntimeError:
                return True
            time.sleep(0.2)
        return False

    def all_interrupted_within(self, seconds: float) -> bool:
        """Says that this rank is interrupted; waits for the others to say so, or to have ended."""
        until = time.monotonic() + seconds
        try:
            with self.lock:
                self.store.set(f"interrupted/{self.rank}", "1")
            while not all(self._is_interrupted(i) for i in range(self.n_ranks)):
                if time.monotonic() > until:
                    return False
                time.sleep(0.05)
        except RuntimeError:  # the store has ended with the launcher
            pass
        return True

    def _is_interrupted(self, i: int) -> bool:
        with self.lock:
            return bool(self.store.check([f"interrupted/{i}"]) or self.store.check([f"done/{i}"]))

    def claim(self, reason: str) -> bool:
        """Records a failure; returns whether it is the first, which alone is printed."""
        mine = json.dumps([self.rank, reason])
        try:
            with self.lock:
                return bool(self.store.compare_set(FAILED, "", mine) == mine.encode())
        except RuntimeError:
            return True

    def end(self, thread: threading.Thread) -> None:
        """Says that this rank ends as it should, and stops the thread."""
        self.ended.set()
        try:
            with self.lock:
                self.store.set(f"done/{self.rank}", "1")
        except RuntimeError:
            return
        thread.join()

    def _is_dead(self, i: int) -> bool:
        if i == self.rank or self.store.check([f"done/{i}"]):
            return False
        if self.who[i]["machine"] == self.who[self.rank]["machine"]:
            # Asked again, because a rank may end properly between the two questions.
            return not _runs(self.who[i]["pid"]) and not self.store.check([f"done/{i}"])
        beat, now = self.store.get(f"alive/{i}").decode(), time.monotonic()
        before, since = self.seen.get(i, ("", now))
        self.seen[i] = (beat, now if beat != before else since)
        return now - self.seen[i][1] > DEAD_AFTER_S


def _machine() -> list[str]:
    """Identifies the set of process ids that this process belongs to."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return [boot, str(os.stat("/proc/self/ns/pid").st_ino)]
    except OSError:
        return [socket.gethostname()]


def _runs(pid: int) -> bool:
    """Whether a process of this machine runs; one that waits for its parent has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        return state not in "ZX"
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return not Path("/proc/self").exists()
