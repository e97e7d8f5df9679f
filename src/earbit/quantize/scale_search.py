"""Initial values of scales: BiT's rule, or the scale with the least squared error."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earbit.nn.leaves import NumberSet
from earbit.quantize.codes import MIN_SCALE, MIN_WEIGHT_SCALE, at_least_scale, code_range

N_CANDIDATES = 64


def bit_scale(x: Tensor, bits: int, number_set: NumberSet, real: Tensor | None = None) -> Tensor:
    """BiT's rule: 2 mean|x| / sqrt(greatest code) for the signed set, 4 mean|x| for the unsigned.

    real: mask of real elements, broadcastable to x; None if all are real.
    """
    size = x.abs()
    mean = size.mean() if real is None else (size * real).sum() / real.expand_as(size).sum()
    factor = 2.0 if number_set == "signed" else 4.0
    return at_least_scale(factor / math.sqrt(code_range(bits, number_set)[1]) * mean, MIN_SCALE)


def least_squares_scale(rows: Tensor, bits: int, number_set: NumberSet) -> Tensor:
    """The scale of every row (R, N) with the least squared error among candidates: (R,).

    The mean size for one signed bit.  Otherwise candidates lie between a fraction of what the
    greatest number of the row would need and all of it.  Rows of zeros get the smallest scale.
    """
    if rows.is_meta:  # A model that is being loaded; the search would take seconds.
        return rows.new_empty(len(rows))
    if bits == 1 and number_set == "signed":
        return at_least_scale(rows.abs().mean(-1), MIN_WEIGHT_SCALE)
    low, high = code_range(bits, number_set)
    greatest = rows.abs().amax(-1)
    best = at_least_scale(greatest / high, MIN_WEIGHT_SCALE)
    least_error = torch.full_like(best, math.inf)
    for i in range(1, N_CANDIDATES + 1):
        candidate = greatest / high * (i / N_CANDIDATES)
        scale = at_least_scale(candidate, MIN_WEIGHT_SCALE)[:, None]
        if bits > 1:
            nearest = (rows / scale).round_().clamp_(low, high)
        else:
            nearest = (rows > scale / 2).to(rows.dtype)
        error = nearest.mul_(scale).sub_(rows).square_().sum(-1)
        is_better = error < least_error
        least_error = torch.where(is_better, error, least_error)
        best = torch.where(is_better, scale[:, 0], best)
    return best
