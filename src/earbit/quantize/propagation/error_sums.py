"""Signal, noise and correlation of tensors against a reference, summed over clips in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from earbit.errors import DataError


class ErrorSums:
    """Error metrics over all elements compared so far.

    name: module name for error messages.  is_centred: also sums by channel, the last axis, which
    `correlation`, `log_error` and `varying_noise` require.
    """

    def __init__(self, name: str, *, is_centred: bool = False) -> None:
        self.name, self.is_centred = name, is_centred
        self.signal = self.noise = self.found = self.product = 0.0
        """Sums of x^2, (y - x)^2, y^2 and x y for references x and compared values y."""
        self.n_elements = 0
        self.channel_sums = torch.zeros(2, 1, dtype=torch.double)
        """Sums of x and y by channel: (2, channels)."""

    def add(self, reference: Tensor, found: Tensor, counted: Tensor | None = None) -> None:
        """Compares two tensors of equal shape.

        counted: mask of the elements to compare, of the same shape; all elements by default.
        Raises DataError for values that are not finite.
        """
        if counted is not None:
            reference, found = reference[counted], found[counted]
        x, y = reference.double(), found.double()
        if self.is_centred:
            sums = torch.stack([values.flatten(0, -2).sum(0) for values in (x, y)])
            self.channel_sums = self.channel_sums + sums
        self.n_elements += x.numel()
        self.signal += _dot(x, x)
        self.found += _dot(y, y)
        self.product += _dot(x, y)
        self.noise += _dot(y - x, y - x)
        if not math.isfinite(self.signal + self.found + self.noise):
            raise DataError(f"non-finite output of {self.name!r}; check the model's weights")

    @property
    def noise_to_signal(self) -> float:
        """Noise power divided by signal power: 0 without noise, inf for noise without a signal."""
        if self.noise == 0:
            return 0.0
        return self.noise / self.signal if self.signal > 0 else math.inf

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio in dB: inf without noise, -inf without a signal."""
        ratio = self.noise_to_signal
        return math.inf if ratio == 0 else -10 * math.log10(ratio)

    @property
    def correlation(self) -> float:
        """Cosine similarity after subtracting the mean of every channel; 0 without a signal."""
        if self.noise == 0:
            return 1.0
        x, y = self.channel_sums
        n_rows = self.n_elements / len(x)
        signal = self.signal - _dot(x, x) / n_rows
        found = self.found - _dot(y, y) / n_rows
        if signal <= 0 or found <= 0:
            return 0.0
        return (self.product - _dot(x, y) / n_rows) / math.sqrt(signal * found)

    @property
    def varying_noise(self) -> float:
        """Mean square of the noise after subtracting its mean in every channel."""
        x, y = self.channel_sums
        constant = _dot(y - x, y - x) * len(x) / self.n_elements
        return max(self.noise - constant, 0.0) / self.n_elements

    @property
    def log_error(self) -> float:
        """`-2 ln r` of the correlation r, which is additive for independent errors.

        0 without noise, approximately the noise-to-signal ratio for small errors, inf for r <= 0.
        Derived in docs/propagation.md.
        """
        r = self.correlation
        return -2 * math.log(min(r, 1.0)) + 0.0 if r > 0 else math.inf


def _dot(x: Tensor, y: Tensor) -> float:
    return float(torch.dot(x.flatten(), y.flatten()))
