"""The likeliest label of every slot of a head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earbit.runtime.program_file import Head


def likeliest(head: Head, scores: NDArray[np.float32]) -> list[tuple[str, float]]:
    """Label with the largest score and its softmax probability, for every slot of the head."""
    found, start = [], 0
    for size in head.slots:
        of_slot = scores[start : start + size].astype(np.float64)
        best = int(np.argmax(of_slot))
        found.append((head.labels[start + best], float(1 / np.exp(of_slot - of_slot[best]).sum())))
        start += size
    return found
