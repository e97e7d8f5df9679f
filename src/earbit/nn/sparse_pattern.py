"""Which elements of the operands of a blocked product are part of a sparse pattern."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SparsePattern:
    """The real elements of one product (..., m, k) x (..., k, n) of blocks.

    Blocks repeat frames (the margins of a window) and pad the last block.  The product is computed
    with all elements.  Calibration, the cost profile and error propagation count the real ones.
    """

    n_pairs: int
    """Pairs (query, key) of the pattern, per clip and head."""
    is_left_sparse: bool
    """Whether the pairs are elements of the left operand; else they are elements of the result."""
    left: Tensor
    """True where an element of the left operand is real and not a repetition; broadcastable."""
    right: Tensor
    """The same for the right operand."""

    def results(self) -> Tensor:
        """True where an element of the result has real operands; broadcastable to the result."""
        return self.left.any(-1, keepdim=True) & self.right.any(-2, keepdim=True)
