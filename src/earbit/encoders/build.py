"""The closed union of encoders."""

from __future__ import annotations

from typing import assert_never

from earbit.encoders.conformer import ConformerConfig, ConformerEncoder
from earbit.encoders.sparseformer import SparseformerConfig, SparseformerEncoder
from earbit.encoders.squeezeformer import SqueezeformerConfig, SqueezeformerEncoder
from earbit.encoders.transformer import TransformerConfig, TransformerEncoder

EncoderConfig = TransformerConfig | ConformerConfig | SqueezeformerConfig | SparseformerConfig
Encoder = TransformerEncoder | ConformerEncoder | SqueezeformerEncoder | SparseformerEncoder


def build_encoder(config: EncoderConfig) -> Encoder:
    """The encoder that a configuration describes, freshly initialised."""
    match config:
        case TransformerConfig():
            return TransformerEncoder(config)
        case ConformerConfig():
            return ConformerEncoder(config)
        case SqueezeformerConfig():
            return SqueezeformerEncoder(config)
        case SparseformerConfig():
            return SparseformerEncoder(config)
    assert_never(config)
