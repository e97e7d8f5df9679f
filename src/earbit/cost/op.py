"""One operation of a model and its cost, in three units that never mix."""

from __future__ import annotations

from dataclasses import dataclass

from earbit.nn.precision import FLOAT, Precision

OPERATIONS_PER_MAC = 2
"""A multiplication and an addition; FLOPs and the peak rates of devices count both."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Op:
    """One call of a leaf, or of a tensor operation between the leaves."""

    name: str
    """Path of the module that ran it; empty for the model itself."""
    kind: str
    """`linear`, `conv1d` or `matmul` for a leaf, else the name of the tensor operation."""
    n_macs: int
    n_other_flops: int
    """Other floating-point operations than products: biases, activations, norms, sums."""
    precision: Precision = FLOAT
    """Bits of both operands of the product; meaningless without a product."""
    n_weights: int = 0
    """Weights of the leaf, without its bias."""
    out_elements: int

    @property
    def flops(self) -> int:
        """Two per MAC, plus other operations."""
        return OPERATIONS_PER_MAC * self.n_macs + self.n_other_flops

    @property
    def float_flops(self) -> int:
        """FLOPs that remain in floating point, without products of quantized operands."""
        return self.flops if self.precision.is_float else self.n_other_flops

    @property
    def bops(self) -> int:
        """MACs times the bits of both operands (Bayesian Bits, arXiv 2005.07093).

        That paper counts layers with weights; here the same holds for products of two activations.
        """
        return self.n_macs * self.precision.weight_bits * self.precision.activation_bits
