"""Table of encoders: configuration class and stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Union

from earbit.encoders import encoder
from earbit.encoders.conformer import ConformerConfig, ConformerEncoder
from earbit.encoders.encoder import Encoder
from earbit.encoders.sparseformer import SparseformerConfig, SparseformerEncoder
from earbit.encoders.squeezeformer import SqueezeformerConfig, SqueezeformerEncoder
from earbit.encoders.transformer import TransformerConfig, TransformerEncoder
from earbit.encoders.wavlm import WavlmConfig, WavlmEncoder

ENCODERS: dict[type, Callable[[Any], Encoder]] = {
    TransformerConfig: TransformerEncoder,
    ConformerConfig: ConformerEncoder,
    SqueezeformerConfig: SqueezeformerEncoder,
    SparseformerConfig: SparseformerEncoder,
    WavlmConfig: WavlmEncoder,
}

if TYPE_CHECKING:
    EncoderConfig = encoder.EncoderConfig
else:
    # The union of all configurations, which `earbit.config` reads and writes.
    EncoderConfig = Union[tuple(ENCODERS)]  # noqa: UP007


def build_encoder(config: EncoderConfig) -> Encoder:
    """Builds the encoder that a configuration describes, with new weights."""
    return ENCODERS[type(config)](config)
