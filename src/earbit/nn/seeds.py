"""Seeds of torch's generators for the steps of a training."""

from __future__ import annotations

import numpy as np

DATA, DROPOUT = 1, 2
"""Purposes of the random numbers of a step."""


def step_seed(seed: int, step: int, purpose: int) -> int:
    """A seed for one purpose in one step of a training with a seed.

    torch's generator for CPUs uses the low 32 bits of its seed alone, so the numbers are hashed.
    """
    return int(np.random.SeedSequence((seed, step, purpose)).generate_state(1)[0])
