"""Frames of audio: receptive field, hop and number of frames of a clip.

The values follow from the seven convolutions of wav2vec 2.0 and HuBERT.  This module imports
nothing, because processes without PyTorch use it too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)
HOP_SAMPLES = math.prod(STRIDES)
"""Hop between frames in samples: 320, or 20 ms."""
FRAME_RATE_HZ = 50
"""Frames per second at 16 kHz."""
MIN_SAMPLES = 400
"""Receptive field of one frame in samples, 25 ms; shorter audio has no frame."""
MIN_TRAINING_FRAMES = 10
"""Minimum length of training clips; shorter ones hold no masked span."""

Count = TypeVar("Count", int, "Tensor")


def layer_lengths(n_samples: Count) -> list[Count]:
    """Lengths after each of the seven convolutions: `floor((n - kernel) / stride) + 1`."""
    lengths = []
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        n_samples = (n_samples - kernel) // stride + 1
        lengths.append(n_samples)
    return lengths


def n_frames_of(n_samples: Count) -> Count:
    """Number of frames of `n_samples` of audio: 49 for 16,000 samples."""
    return layer_lengths(n_samples)[-1]


def n_samples_of(n_frames: int) -> int:
    """Minimum number of samples for `n_frames` frames (at least 1): 15,760 for 49 frames."""
    return MIN_SAMPLES + (n_frames - 1) * HOP_SAMPLES
