"""Lowers a model with one explicit function per module type, without tracing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from earbit.encoders.conformer import ConformerEncoder
from earbit.encoders.sparseformer import SparseformerEncoder
from earbit.encoders.squeezeformer import SqueezeformerEncoder
from earbit.encoders.transformer import TransformerEncoder
from earbit.encoders.wavlm import WavlmEncoder
from earbit.errors import UnsupportedError
from earbit.export.blocks import lower_norm
from earbit.export.conformer import lower_conformer
from earbit.export.front_end import lower_convolutions, lower_filterbank
from earbit.export.fuse import fuse
from earbit.export.leaves import input_bits, lower_linear
from earbit.export.plain import PlainProgram
from earbit.export.program import WAVEFORM, Program
from earbit.export.squeezeformer import lower_squeezeformer
from earbit.export.transformer import lower_transformer
from earbit.model import AudioModel
from earbit.nn.filterbank import Filterbank

LOWERINGS: dict[type, Callable[[PlainProgram, str, Any, int], list[int]]] = {
    TransformerEncoder: lower_transformer,
    SparseformerEncoder: lower_transformer,
    WavlmEncoder: lower_transformer,
    ConformerEncoder: lower_conformer,
    SqueezeformerEncoder: lower_squeezeformer,
}
"""(program, name of the module, encoder, its input) -> the hidden states, as values."""


def lower_model(model: AudioModel) -> Program:
    """Lowers a model in evaluation mode to a program whose outputs are all hidden states.

    Raises UnsupportedError, naming the module, for computations without an op.
    """
    program = PlainProgram()
    value = WAVEFORM
    if model.config.normalize_waveform:
        # With one column, a group norm over all samples is the layer norm of the waveform.
        one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        value = program.add(
            "group_norm",
            [value],
            floats={"eps": model.config.waveform_eps},
            tensors={"weight": one, "bias": zero},
        )
    front_end = model.front_end
    value = (
        lower_filterbank(program, front_end, value)
        if isinstance(front_end, Filterbank)
        else lower_convolutions(program, "front_end", front_end, value)
    )
    if model.config.feature_norm:
        value = lower_norm(program, model.feature_norm, value)
    value = input_bits(program, "projection", model.projection, value)
    value = lower_linear(program, "projection", model.projection, value)
    lower_encoder = LOWERINGS.get(type(model.encoder))
    if lower_encoder is None:
        raise UnsupportedError(
            f"{type(model.encoder).__name__} has no lowering; add one to LOWERINGS in "
            "earbit/export/lower.py"
        )
    program.outputs = lower_encoder(program, "encoder", model.encoder, value)
    return fuse(program)
