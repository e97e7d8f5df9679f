"""The closed union of encoders."""

from __future__ import annotations

from typing import assert_never

from earbit.encoders.sparseformer import SparseformerConfig, SparseformerEncoder
from earbit.encoders.transformer import TransformerConfig, TransformerEncoder

EncoderConfig = TransformerConfig | SparseformerConfig
Encoder = TransformerEncoder | SparseformerEncoder


def build_encoder(config: EncoderConfig) -> Encoder:
    """The encoder that a configuration describes, freshly initialised."""
    match config:
        case TransformerConfig():
            return TransformerEncoder(config)
        case SparseformerConfig():
            return SparseformerEncoder(config)
    assert_never(config)
