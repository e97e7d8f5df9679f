"""Lowers the front ends: convolutions, or a filterbank."""

from __future__ import annotations

import numpy as np

from earbit.errors import UnsupportedError
from earbit.export.blocks import lower_norm
from earbit.export.leaves import (
    Binarizer,
    activation,
    affine_of,
    array,
    frames_mean,
    input_binarizer,
    input_bits,
    is_binary,
    lower_conv,
    next_binarizer,
)
from earbit.export.program import Program
from earbit.export.thresholds import float_threshold
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
from earbit.nn.norms import ChannelNorm, FrameBatchNorm, FrameNorm


def lower_filterbank(program: Program, front_end: Filterbank, waveform: int) -> int:
    """Lowers log mel energies and their batch norm; a mel is stored from its first bin on."""
    mels = mel_triangles(front_end.n_mels)
    first = np.minimum((mels > 0).argmax(1), mels.shape[1] - (mels > 0).sum(1).max())
    columns = first[:, None] + np.arange((mels > 0).sum(1).max())
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
    affine = affine_of(front_end.norm)
    return program.add(
        "depthwise_f32",
        [energies],
        ints={"kernel": 1, "stride": 1, "pad_left": 0, "pad_right": 0},
        tensors={"weight": affine.gain[:, None], "bias": affine.offset},
    )


def lower_convolutions(program: Program, name: str, front_end: FrontEnd, waveform: int) -> int:
    """Lowers the convolutional front end to features, a vector per 20 ms.

    The first convolution is in float.  Consecutive binary convolutions pass bits if no operation
    between them needs floats: a batch norm is folded into the thresholds, while a layer norm or a
    shortcut needs floats.
    """
    convs = [conv for conv in front_end.convs if isinstance(conv, Conv1d)]
    if not convs[0].precision.is_float:
        raise UnsupportedError(f"{name}.convs.0: audio has no quantized form; leave it in float")
    norms = [*front_end.norms, *[None] * (len(convs) - len(front_end.norms))]
    value, are_bits = _first_layer(program, name, front_end, convs, waveform)
    for i, (conv, norm) in enumerate(zip(convs[1:], norms[1:], strict=True), start=1):
        conv_name, passed = f"{name}.convs.{i}", value
        if not are_bits:
            value = input_bits(program, conv_name, conv, value)
        then: Binarizer | None = None
        needs_floats = isinstance(norm, FrameNorm) or front_end.has_shortcut
        if i + 1 < len(convs) and not needs_floats:
            then = next_binarizer(f"{name}.convs.{i + 1}", convs[i + 1])
        affine = affine_of(norm) if isinstance(norm, FrameBatchNorm) else None
        value = lower_conv(program, conv_name, conv, value, then=then, affine=affine)
        are_bits = then is not None
        if isinstance(norm, FrameNorm):
            value = lower_norm(program, norm, value)
        if front_end.has_shortcut:
            value = program.add("add", [value, frames_mean(program, passed, conv)])
    return activation(program, value, "gelu")


def _first_layer(
    program: Program, name: str, front_end: FrontEnd, convs: list[Conv1d], waveform: int
) -> tuple[int, bool]:
    """Lowers the first convolution and its norm; also whether the result is the second's bits."""
    norm, second = front_end.norms[0], f"{name}.convs.1"
    if isinstance(norm, ChannelNorm) and not front_end.has_shortcut and is_binary(second, convs[1]):
        then = input_binarizer(second, convs[1])
        return _waveform_bits(program, convs[0], norm, then, waveform), True
    value = lower_conv(program, f"{name}.convs.0", convs[0], waveform)
    return lower_norm(program, norm, value), False


def _waveform_bits(
    program: Program, conv: Conv1d, norm: ChannelNorm, then: Binarizer, waveform: int
) -> int:
    """Bits of a normalised convolution of the waveform, whose bias the norm cancels."""
    tensors = {
        "weight": array(conv.weight)[:, 0],
        "norm_weight": array(norm.weight),
        "norm_bias": array(norm.bias),
        "threshold": float_threshold(then.bits, then.n_channels),
    }
    ints = {"kernel": conv.kernel_size[0], "stride": conv.stride[0]}
    made = program.add(
        "waveform_bits", [waveform], ints=ints, floats={"eps": norm.eps}, tensors=tensors
    )
    program.bits[then.leaf_name] = made
    return made
