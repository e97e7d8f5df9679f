"""Checks and shapes of values that a session returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from earbit.errors import FormatError
from earbit.runtime.program_file import Head


def features_of(
    wanted: Sequence[int], results: Sequence[NDArray[Any]], layers: Literal["last", "all"]
) -> NDArray[np.float32]:
    """The last hidden state, or all; raises FormatError unless they are floats of one shape."""
    for value, result in zip(wanted, results, strict=True):
        if result.dtype != np.float32 or result.shape != results[0].shape:
            raise FormatError(
                f"output value {value} of the program is {result.dtype} {result.shape}, "
                "expected float32 (frames, width), the same for all outputs; export it again"
            )
    return np.stack(results) if layers == "all" else results[0]


def scores_of(head: Head, result: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of the frames, or of the clip; raises FormatError for a clip with several rows."""
    if head.kind in ("sequence", "segments"):
        return result
    if len(result) != 1:
        raise FormatError(
            f"head value {head.value} of the program has {len(result)} rows, expected 1; "
            "export it again"
        )
    scores: NDArray[np.float32] = result[0]
    return scores
