"""The table of encoders: a row for each, a configuration and its stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Union

from earbit.encoders import encoder
from earbit.encoders.conformer import ConformerConfig, ConformerEncoder
from earbit.encoders.encoder import Encoder
from earbit.encoders.sparseformer import SparseformerConfig, SparseformerEncoder
from earbit.encoders.squeezeformer import SqueezeformerConfig, SqueezeformerEncoder
from earbit.encoders.transformer import TransformerConfig, TransformerEncoder

ENCODERS: dict[type, Callable[[Any], Encoder]] = {
    TransformerConfig: TransformerEncoder,
    ConformerConfig: ConformerEncoder,
    SqueezeformerConfig: SqueezeformerEncoder,
    SparseformerConfig: SparseformerEncoder,
}

if TYPE_CHECKING:
    EncoderConfig = encoder.EncoderConfig
else:
    # A union of all rows, which `earbit.config` reads from and writes to files.
    EncoderConfig = Union[tuple(ENCODERS)]  # noqa: UP007


def build_encoder(config: EncoderConfig) -> Encoder:
    """The encoder that a configuration describes, freshly initialised."""
    return ENCODERS[type(config)](config)
