"""Products of quantized operands, as one autograd function.

The function saves the operands for the backward pass, as a float product does, and not their codes,
which are as large.  The backward pass computes the codes again, in one pass over memory.

Letters: B batch, C channels, T frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv1d_input, conv1d_weight

from earbit.nn.lengths import zero_padding
from earbit.nn.norms import at_least_float32
from earbit.quantize.codes import ScaledCodes, code_range
from earbit.quantize.quantizers import Quantizer
from earbit.quantize.weights import SignCodes

LeftGradient = tuple[Tensor, Tensor | None]
"""Gradient of the left operand, and its sum over padding if the code of padding is not 0."""


@dataclass(frozen=True, slots=True)
class LinearProduct:
    """Linear layer: (..., d_in) x (d_out, d_in) -> (..., d_out)."""

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """The product."""
        return F.linear(x, weight)

    def left_gradient(self, x: Tensor, weight: Tensor, grad: Tensor) -> LeftGradient:
        """Gradient of x; grad: gradient of the product."""
        return grad @ weight, None

    def right_gradient(self, x: Tensor, weight: Tensor, grad: Tensor) -> Tensor:
        """Gradient of the weight; grad: gradient of the product."""
        return grad.reshape(-1, grad.shape[-1]).T @ x.reshape(-1, x.shape[-1])


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """Matrix product: (..., m, k) x (..., k, n) -> (..., m, n); leading dimensions broadcast."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """The product."""
        return left @ right

    def left_gradient(self, left: Tensor, right: Tensor, grad: Tensor) -> LeftGradient:
        """Gradient of the left operand; grad: gradient of the product."""
        return (grad @ right.mT).sum_to_size(left.shape), None

    def right_gradient(self, left: Tensor, right: Tensor, grad: Tensor) -> Tensor:
        """Gradient of the right operand; grad: gradient of the product."""
        return (left.mT @ grad).sum_to_size(right.shape)


@dataclass(frozen=True, slots=True)
class ElementwiseProduct:
    """Elementwise product of codes (...) and their step, broadcastable to them -> (...)."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """The product."""
        return left * right

    def left_gradient(self, left: Tensor, right: Tensor, grad: Tensor) -> LeftGradient:
        """Gradient of the left operand; grad: gradient of the product."""
        return grad * right, None

    def right_gradient(self, left: Tensor, right: Tensor, grad: Tensor) -> Tensor:
        """Gradient of the right operand; grad: gradient of the product."""
        return (grad * left).sum_to_size(right.shape)


@dataclass(frozen=True, slots=True)
class ConvProduct:
    """Convolution: (B, C_in, T) * (C_out, C_in / groups, kernel) -> (B, C_out, T_out)."""

    stride: int
    padding: int
    groups: int
    zero_code: int
    """The code of padding and of padded frames of the batch."""
    lengths: Tensor | None
    """Number of real frames of every row (B,)."""

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """The convolution."""
        return F.conv1d(self._padded(x), weight, stride=self.stride, groups=self.groups)

    def left_gradient(self, x: Tensor, weight: Tensor, grad: Tensor) -> LeftGradient:
        """Gradient of x, and its sum over padding; grad: gradient of the convolution."""
        shape = (*x.shape[:-1], x.shape[-1] + 2 * self.padding)
        grad_padded: Tensor = conv1d_input(  # type: ignore[no-untyped-call]
            shape, weight, grad, stride=self.stride, groups=self.groups
        )
        if not self.padding:
            return grad_padded, None
        grad_x = grad_padded[..., self.padding : self.padding + x.shape[-1]]
        grad_x = zero_padding(grad_x, self.lengths)
        if not self.zero_code:
            return grad_x, None
        return grad_x, at_least_float32(grad_padded).sum() - at_least_float32(grad_x).sum()

    def right_gradient(self, x: Tensor, weight: Tensor, grad: Tensor) -> Tensor:
        """Gradient of the weight; grad: gradient of the convolution."""
        grad_weight: Tensor = conv1d_weight(  # type: ignore[no-untyped-call]
            self._padded(x), weight.shape, grad, stride=self.stride, groups=self.groups
        )
        return grad_weight

    def _padded(self, x: Tensor) -> Tensor:
        if not self.padding:
            return x
        # Subtracting the code of padding makes this plain zero padding.
        if self.lengths is not None:
            x = zero_padding(x - self.zero_code, self.lengths) + self.zero_code
        return F.pad(x, (self.padding, self.padding), value=self.zero_code)


Product = LinearProduct | MatrixProduct | ElementwiseProduct | ConvProduct
Coding = ScaledCodes | SignCodes


def quantized_product(
    product: Product,
    left: Tensor,
    right: Tensor,
    left_quantizer: Quantizer | Coding | None,
    right_quantizer: Quantizer | Coding | None,
) -> Tensor:
    """Computes `product` on the codes of both operands, with the gradients of their quantizers.

    An operand whose quantizer is None is not quantized.  The result is not multiplied by the steps
    of the codes.
    """
    quantizers = (left_quantizer, right_quantizer)
    codings = (_coding_of(left_quantizer), _coding_of(right_quantizer))
    learned = tuple(x for coding in codings if coding is not None for x in coding.learned)
    y: Tensor = _QuantizedProduct.apply(  # type: ignore[no-untyped-call]
        product, quantizers, codings, left, right, *learned
    )
    return y


N_FIXED = 3
"""Number of arguments of `_QuantizedProduct` before its operands, which have no gradient."""


class _QuantizedProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        product: Product,
        quantizers: tuple[Quantizer | Coding | None, Quantizer | Coding | None],
        codings: tuple[Coding | None, Coding | None],
        left: Tensor,
        right: Tensor,
        *learned: Tensor | None,
    ) -> Tensor:
        # The learned tensors too: PyTorch then refuses a change of them before the backward pass.
        ctx.save_for_backward(left, right, *learned)
        ctx.product, ctx.codings = product, codings
        left, right = _encoded(quantizers[0], left), _encoded(quantizers[1], right)
        factor = _factor(codings, left.device, _n_terms(product, right))
        if factor == 1:
            return product.forward(left, right)
        return product.forward(left, right * factor).float() / factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        operands, codings = ctx.saved_tensors[:2], ctx.codings
        found = [
            operand if coding is None else coding(operand)
            for coding, operand in zip(codings, operands, strict=True)
        ]
        # Under autocast the product had fewer bits than its operands; codes fit into them.
        factors = [x.to(grads[0].dtype) for x in found]
        of_operands: list[Tensor | None] = []
        of_learned: list[Tensor | None] = []
        needed = list(ctx.needs_input_grad[N_FIXED:])
        for i, (coding, operand) in enumerate(zip(codings, operands, strict=True)):
            n_learned = 0 if coding is None else len(coding.learned)
            learned_here = needed[2 + len(of_learned) :][:n_learned]
            if not (needed[i] or any(learned_here)):
                of_operands.append(None)
                of_learned += [None] * n_learned
                continue
            of_padding = None
            if i == 0:
                grad, of_padding = ctx.product.left_gradient(*factors, grads[0])
            else:
                grad = ctx.product.right_gradient(*factors, grads[0])
            if coding is not None:
                grad, of_its_own = coding.gradient(operand, found[i], grad, of_padding)
                of_learned += of_its_own
            of_operands.append(grad.to(operand.dtype))
        return (*(None,) * N_FIXED, *of_operands, *of_learned)


def _n_terms(product: Product, right: Tensor) -> int:
    """Number of terms of a sum of the product."""
    match product:
        case LinearProduct():
            return right.shape[-1]
        case MatrixProduct():
            return right.shape[-2]
        case ConvProduct():
            return right.shape[1:].numel()
        case ElementwiseProduct():
            return 1


def _factor(codings: tuple[Coding | None, Coding | None], device: torch.device, n: int) -> float:
    """Power of two on the right codes that keeps all sums of n products within float16.

    1 unless autocast computes in float16 and sums that are 8 times the size of independent codes
    exceed its range, as with 8 bits on both sides.
    """
    left, right = codings
    if left is None or right is None or device.type == "meta":
        return 1.0
    if not torch.is_autocast_enabled(device.type):
        return 1.0
    if torch.get_autocast_dtype(device.type) != torch.float16:
        return 1.0
    largest = _largest_code(left) * _largest_code(right)
    limit = torch.finfo(torch.float16).max
    if 8 * largest * math.sqrt(n) <= limit:
        return 1.0
    smallest_normal = 2.0**-14  # of float16: smaller factors would lose bits of codes
    return max(smallest_normal, 2.0 ** -math.ceil(math.log2(largest * n / limit)))


def _largest_code(coding: Coding) -> int:
    if isinstance(coding, SignCodes):
        return 1
    return max(abs(code) for code in code_range(coding.bits, coding.number_set))


def _coding_of(quantizer: Quantizer | Coding | None) -> Coding | None:
    return quantizer.coding if isinstance(quantizer, Quantizer) else quantizer


def _encoded(quantizer: Quantizer | Coding | None, operand: Tensor) -> Tensor:
    if quantizer is None:
        return operand
    # A quantizer is called as a module, so that calibration and checks can hook it.
    found: Tensor = quantizer(operand)
    return found
