"""What a worker process does first, so that it ends with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

KILLED_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of <sys/prctl.h>."""


def end_with_parent(parent: int) -> None:
    """Ends this process when its parent does, also after `kill -9`; parent: process id."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(KILLED_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
