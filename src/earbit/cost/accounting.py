"""Two storage accountings of a quantized model: that of earbit, and that of Yeh et al.

`earbit`: every leaf that the plan quantizes, with all its scales and shifts.
`yeh` (arXiv 2301.00652): only the weight matrices of the encoder's layers are quantized, everything
else is fp16, scales are not counted, the projection to the units is counted.  The paper does not
state this rule.  It is inferred from the storage column, which it reproduces for HuBERT Base if the
positional convolution has 64 taps instead of 128.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from math import prod
from typing import Literal

from earbit.cost.cost import STORAGE_FORMATS
from earbit.cost.storage import RestBits, n_parameters, owners, storage_bits
from earbit.cost.trace import weight_shape
from earbit.errors import ConfigError
from earbit.model import AudioModel
from earbit.nn.leaves import Linear
from earbit.nn.precision import FLOAT, Precision
from earbit.nn.shapes_only import shapes_only

Accounting = Literal["earbit", "yeh"]
FLOAT_FORMATS: dict[Accounting, tuple[RestBits, ...]] = {"earbit": STORAGE_FORMATS, "yeh": (16,)}
"""Storage bits of unquantized tensors; the first is the default."""
_MATRICES = "encoder.layers.*"


def float_format(accounting: Accounting, rest_bits: RestBits | None) -> RestBits:
    """Storage bits of unquantized tensors; None selects the default of the accounting.

    Raises ConfigError for an unknown accounting and for bits that it does not support.
    """
    if accounting not in FLOAT_FORMATS:
        raise ConfigError(
            f"accounting={accounting!r}; allowed: {', '.join(map(repr, FLOAT_FORMATS))}"
        )
    allowed = FLOAT_FORMATS[accounting]
    if rest_bits is not None and rest_bits not in allowed:
        raise ConfigError(
            f"rest_bits={rest_bits}; accounting {accounting!r} stores what is not quantized in "
            f"{' or '.join(map(str, allowed))} bits"
        )
    return rest_bits or allowed[0]


def quantized_leaves(
    model: AudioModel, precisions: Mapping[str, Precision], accounting: Accounting
) -> dict[str, Precision]:
    """Precisions of the leaves that the accounting counts as quantized."""
    if accounting == "earbit":
        return dict(precisions)
    return {
        name: precision
        for name, precision in precisions.items()
        if fnmatchcase(name, _MATRICES) and isinstance(model.get_submodule(name), Linear)
    }


def stored(
    model: AudioModel, precisions: Mapping[str, Precision], rest_bits: int, accounting: Accounting
) -> Iterator[tuple[str, int, int]]:
    """Yields (path, parameters, bits) of all stored modules without the unit head.

    precisions: result of `quantized_leaves`.
    """
    for path, owner in owners(model):
        precision = precisions.get(path, FLOAT)
        if accounting == "yeh" and isinstance(owner, Linear) and not precision.is_float:
            n_weights = prod(weight_shape(owner))
            n_rest = n_parameters(owner) - n_weights
            yield path, n_parameters(owner), n_weights * precision.weight_bits + n_rest * rest_bits
        else:
            yield path, n_parameters(owner), storage_bits(owner, precision, rest_bits)
    if accounting == "yeh":
        with shapes_only():
            projection = Linear(model.config.encoder.d_model, model.config.d_unit)
        n = n_parameters(projection)
        yield "head.projection", n, n * rest_bits
