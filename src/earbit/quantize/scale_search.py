"""Initial values of scales: BiT's rule, or the scale with the least squared error.

Letters: R rows, N numbers in a row, C candidates.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earbit.nn.leaves import NumberSet
from earbit.quantize.codes import MIN_SCALE, MIN_WEIGHT_SCALE, at_least_scale, code_range

N_CANDIDATES = 64
MAX_TRIED = 2**17
"""Numbers that are quantized at once, with several candidates where rows are short."""


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
    needed = rows.abs().amax(-1) / high
    steps = torch.arange(1, N_CANDIDATES + 1, device=rows.device, dtype=rows.dtype) / N_CANDIDATES
    scales_RC = at_least_scale(needed[:, None] * steps, MIN_WEIGHT_SCALE)
    errors = []
    n_at_once = max(1, MAX_TRIED // max(1, rows.numel()))
    for tried in torch.split(scales_RC, n_at_once, dim=1):
        scale, x = tried[..., None], rows[:, None]
        if bits > 1:
            nearest = (x / scale).round_().clamp_(low, high)
        else:
            nearest = (x > scale / 2).to(rows.dtype)
        errors.append(nearest.mul_(scale).sub_(x).square_().sum(-1))
    best = torch.cat(errors, dim=1).argmin(-1, keepdim=True)
    return scales_RC.gather(1, best)[:, 0]
