"""Whether this machine is quiet and large enough for times to mean something."""

from __future__ import annotations

import os
from collections.abc import Sequence

from earbit.progress import say
from earbit.runtime.cores import usable_cores

SPARE_LOAD = 0.5
"""Load beyond the processors that are asked for, which passes for noise."""


def warn_of_disturbance(threads: Sequence[int]) -> None:
    """A line for more threads than processors, and one for a machine that is at work already."""
    processors, load = usable_cores(), os.getloadavg()[0]
    if max(threads) > processors:
        say(
            f"warning: {max(threads)} threads on {processors} processor(s) wait for each other; "
            f"for times that mean something give --threads of at most {processors}"
        )
    if load + min(max(threads), processors) > processors + SPARE_LOAD:
        say(
            f"warning: other work is going on (load average {load:.1f} on {processors} "
            "processor(s)), so times come out too long; measure again when it is quiet"
        )
