"""Frames of audio: how many samples one sees, how far apart they are, how many a clip has.

The values follow from the seven convolutions of wav2vec 2.0 and HuBERT.  Nothing is imported here,
because light processes need these numbers too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)
HOP_SAMPLES = math.prod(STRIDES)
"""Samples from one frame to the next: 320, which is 20 ms."""
FRAME_RATE_HZ = 50
"""Frames per second at 16 kHz."""
MIN_SAMPLES = 400
"""Samples that one frame sees, 25 ms; shorter audio has no frame."""

Count = TypeVar("Count", int, "Tensor")


def layer_lengths(n_samples: Count) -> list[Count]:
    """Lengths after each of the seven convolutions: `floor((n - kernel) / stride) + 1`."""
    lengths = []
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        n_samples = (n_samples - kernel) // stride + 1
        lengths.append(n_samples)
    return lengths


def n_frames_of(n_samples: Count) -> Count:
    """Frames of audio of `n_samples`: 16,000 samples give 49."""
    return layer_lengths(n_samples)[-1]


def n_samples_of(n_frames: int) -> int:
    """The fewest samples that give `n_frames` frames, from 1 on: 49 frames need 15,760."""
    return MIN_SAMPLES + (n_frames - 1) * HOP_SAMPLES
