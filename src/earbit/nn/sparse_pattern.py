"""Masks of the elements of a blocked product that belong to a sparse pattern."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SparsePattern:
    """Masks of the real elements of one product (..., m, k) x (..., k, n) of blocks.

    Blocks repeat frames (the margins of a window) and pad the last block.  The product is computed
    with all elements.  Calibration, the cost profile and error propagation count the real ones.
    """

    n_pairs: int
    """Number of (query, key) pairs of the pattern, per clip and head."""
    is_left_sparse: bool
    """Whether pairs are elements of the left operand; otherwise they are elements of the result."""
    left: Tensor
    """Mask of real, unrepeated elements of the left operand; broadcastable."""
    right: Tensor
    """Mask of real, unrepeated elements of the right operand; broadcastable."""

    def results(self) -> Tensor:
        """Mask of elements of the result with real operands; broadcastable to the result."""
        return self.left.any(-1, keepdim=True) & self.right.any(-2, keepdim=True)
