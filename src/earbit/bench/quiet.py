"""Warns if this machine is too busy or too small for reliable times."""

from __future__ import annotations

import os
from collections.abc import Sequence

from earbit.progress import say
from earbit.runtime.cores import usable_cores

SPARE_LOAD = 0.5
"""Tolerated load average beyond the requested processors."""


def warn_of_disturbance(threads: Sequence[int]) -> None:
    """Warns of more threads than processors, and of other work on the machine."""
    processors, load = usable_cores(), os.getloadavg()[0]
    if max(threads) > processors:
        say(
            f"warning: {max(threads)} threads on {processors} processor(s) wait for each other; "
            f"for times that mean something give --threads of at most {processors}"
        )
    if load + min(max(threads), processors) > processors + SPARE_LOAD:
        say(
            f"warning: other work is going on (load average {load:.1f} on {processors} "
            "processor(s)), so times are too long; measure again on an idle machine"
        )
