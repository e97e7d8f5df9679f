"""Runs the layers of an encoder one by one, each on a hidden state that is given."""

from __future__ import annotations

from typing import assert_never

from torch import Tensor

from earbit.encoders.build import Encoder
from earbit.encoders.conformer import ConformerEncoder
from earbit.encoders.sparseformer import SparseformerEncoder
from earbit.encoders.squeezeformer import SqueezeformerEncoder
from earbit.encoders.transformer import TransformerEncoder


def layer_by_layer(encoder: Encoder, states_LBTD: Tensor) -> None:
    """Gives every layer its own input of `states_LBTD`, the encoder's input and all outputs.

    For what hooks on the layers see: what comes out is not looked at.
    """
    match encoder:
        case TransformerEncoder() | SparseformerEncoder() | ConformerEncoder():
            for layer, state in zip(encoder.layers, states_LBTD, strict=False):
                layer(state)
        case SqueezeformerEncoder():
            _squeezeformer(encoder, states_LBTD)
        case _:
            assert_never(encoder)


def _squeezeformer(encoder: SqueezeformerEncoder, states_LBTD: Tensor) -> None:
    first, last = encoder.reduce_before, encoder.recover_before
    for i, layer in enumerate(encoder.layers):
        state = states_LBTD[i]
        if i == first:
            state = encoder.reduction(state)
        elif first < i < last:
            # States are handed out repeated.
            state = state[:, ::2]
        elif i == last:
            state = encoder.recovery(state) + states_LBTD[first]
        layer(state)
