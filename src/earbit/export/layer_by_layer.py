"""Runs the layers of an encoder one by one, each on a hidden state that is given."""

from __future__ import annotations

from typing import assert_never

from torch import Tensor

from earbit.encoders.build import Encoder
from earbit.encoders.conformer import ConformerEncoder
from earbit.encoders.sparseformer import SparseformerEncoder
from earbit.encoders.squeezeformer import SqueezeformerEncoder
from earbit.encoders.transformer import TransformerEncoder


def layer_by_layer(encoder: Encoder, states_LBTD: Tensor) -> list[Tensor]:
    """The output of every layer, at the layer's own rate, each from the hidden state before it.

    states_LBTD: the encoder's input and all outputs, as the model hands them out.  A difference
    in one layer is not seen again in the layers after it.
    """
    match encoder:
        case TransformerEncoder() | SparseformerEncoder() | ConformerEncoder():
            inputs = list(states_LBTD[:-1])
        case SqueezeformerEncoder():
            inputs = _squeezeformer_inputs(encoder, states_LBTD)
        case _:
            assert_never(encoder)
    return [layer(x_BTD) for layer, x_BTD in zip(encoder.layers, inputs, strict=True)]


def _squeezeformer_inputs(encoder: SqueezeformerEncoder, states_LBTD: Tensor) -> list[Tensor]:
    first, last = encoder.reduce_before, encoder.recover_before
    inputs = list(states_LBTD[:-1])
    inputs[first] = encoder.reduction(inputs[first])
    # At half the rate states are handed out repeated.
    inputs[first + 1 : last] = [state[:, ::2] for state in inputs[first + 1 : last]]
    inputs[last] = encoder.recovery(states_LBTD[last]) + states_LBTD[first]
    return inputs
