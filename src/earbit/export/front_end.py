"""Lowers the front ends: convolutions, or a filterbank."""

from __future__ import annotations

import numpy as np

from earbit.errors import UnsupportedError
from earbit.export.blocks import lower_norm
from earbit.export.leaves import activation, affine_of, frames_mean, input_bits, lower_conv
from earbit.export.plain import PlainProgram, of_module
from earbit.nn.filterbank import (
    FFT_SAMPLES,
    FLOOR,
    HOP_OF_WINDOWS,
    N_STACKED,
    PAD_SAMPLES,
    WINDOW_SAMPLES,
    Filterbank,
    hann_window,
    mel_triangles,
)
from earbit.nn.front_end import FrontEnd
from earbit.nn.leaves import Conv1d
from earbit.nn.norms import FrameBatchNorm, FrameNorm


def lower_filterbank(program: PlainProgram, front_end: Filterbank, waveform: int) -> int:
    """Lowers log mel energies and their batch norm; a mel is stored from its first bin on."""
    mels = mel_triangles(front_end.n_mels)
    width = (mels > 0).sum(1).max()
    first = np.minimum((mels > 0).argmax(1), mels.shape[1] - width)
    columns = first[:, None] + np.arange(width)
    energies = program.add(
        "log_mel",
        [waveform],
        ints={
            "window": WINDOW_SAMPLES,
            "hop": HOP_OF_WINDOWS,
            "pad": PAD_SAMPLES,
            "stack": N_STACKED,
            "fft": FFT_SAMPLES,
        },
        floats={"floor": FLOOR},
        tensors={
            "taper": hann_window(),
            "first": first.astype(np.int32),
            "weight": np.take_along_axis(mels, columns, axis=1),
        },
    )
    return program.add_affine(energies, affine_of(front_end.norm))


@of_module
def lower_convolutions(program: PlainProgram, name: str, front_end: FrontEnd, waveform: int) -> int:
    """Lowers the convolutional front end to features, a vector per 20 ms.

    The first convolution is in float.
    """
    convs = [conv for conv in front_end.convs if isinstance(conv, Conv1d)]
    if not convs[0].precision.is_float:
        raise UnsupportedError(f"{name}.convs.0: audio has no quantized form; leave it in float")
    norms = [*front_end.norms, *[None] * (len(convs) - len(front_end.norms))]
    value = lower_conv(program, f"{name}.convs.0", convs[0], waveform)
    value = lower_norm(program, front_end.norms[0], value)
    for i, (conv, norm) in enumerate(zip(convs[1:], norms[1:], strict=True), start=1):
        conv_name, passed = f"{name}.convs.{i}", value
        value = input_bits(program, conv_name, conv, value)
        value = lower_conv(program, conv_name, conv, value)
        if isinstance(norm, FrameBatchNorm):
            value = program.add_affine(value, affine_of(norm))
        if isinstance(norm, FrameNorm):
            value = lower_norm(program, norm, value)
        if front_end.has_shortcut:
            value = program.add("add", [value, frames_mean(program, passed, conv)])
    return activation(program, value, "gelu")
