"""Lowers a model, module type by module type: one explicit function each, nothing is traced."""

from __future__ import annotations

import numpy as np
import torch

from earbit.config import type_name
from earbit.encoders.sparseformer import SparseformerEncoder
from earbit.encoders.transformer import TransformerEncoder
from earbit.errors import UnsupportedError
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
    lower_linear,
    product_bits,
    step_of,
    waveform_bits,
)
from earbit.export.program import WAVEFORM, Program
from earbit.export.thresholds import signed_bits
from earbit.model import AudioModel
from earbit.nn.attention import SelfAttention
from earbit.nn.front_end import FrontEnd
from earbit.nn.leaves import Conv1d
from earbit.nn.norms import ChannelNorm, FrameBatchNorm, FrameNorm
from earbit.nn.positional import PositionalConv
from earbit.nn.transformer_layer import FeedForward, PreNormLayer, TransformerLayer
from earbit.nn.window_attention import WindowAttention
from earbit.quantize.leaves import QuantizedMatMul


def lower_model(model: AudioModel) -> Program:
    """The program of a model in evaluation mode; its outputs are all hidden states.

    Raises UnsupportedError, naming the module, for what no op computes.
    """
    check_can_be_lowered(model)
    program = Program()
    value = WAVEFORM
    if model.config.normalize_waveform:
        # One column: its group norm over all samples is the layer norm of the waveform.
        one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        value = program.add(
            "group_norm", [value], floats={"eps": 1e-5}, tensors={"weight": one, "bias": zero}
        )
    value = _front_end(program, "front_end", model.front_end, value)
    value = _norm(program, model.feature_norm, value)
    value = input_bits(program, "projection", model.projection, value)
    value = lower_linear(program, "projection", model.projection, value)
    encoder = model.encoder
    assert isinstance(encoder, (TransformerEncoder, SparseformerEncoder))
    value = _position(program, "encoder.position", encoder.position, value)
    is_pre_norm = isinstance(encoder.layers[0], PreNormLayer)
    if not is_pre_norm:
        value = _norm(program, encoder.norm, value)
    program.outputs.append(value)
    for i, layer in enumerate(encoder.layers):
        assert isinstance(layer, TransformerLayer)
        lower = _pre_norm_layer if is_pre_norm else _layer
        value = lower(program, f"encoder.layers.{i}", layer, value)
        program.outputs.append(value)
    if is_pre_norm:
        program.outputs[-1] = _norm(program, encoder.norm, value)
    return program


def check_can_be_lowered(model: AudioModel) -> None:
    """UnsupportedError, with what can be exported, for an encoder that has no program yet."""
    encoder = model.config.encoder
    pattern = getattr(encoder, "pattern", None)
    kind = type_name(type(encoder))
    if pattern is not None and type_name(type(pattern)) != "window":
        kind += f" with the {type_name(type(pattern))} pattern"
    elif kind in ("transformer", "sparseformer"):
        return
    raise UnsupportedError(
        f"a {kind} cannot be exported yet, whatever its plan; a transformer (HuBERT) and a "
        "sparseformer with its window can"
    )


def _front_end(program: Program, name: str, front_end: FrontEnd, waveform: int) -> int:
    convs = [conv for conv in front_end.convs if isinstance(conv, Conv1d)]
    if not convs[0].precision.is_float:
        raise UnsupportedError(f"{name}.convs.0: audio has no quantized form; leave it in float")
    if len(front_end.norms) == 1 and not front_end.has_shortcut:
        return _plain_front_end(program, name, front_end, waveform)
    value = lower_conv(program, f"{name}.convs.0", convs[0], waveform)
    value = _norm(program, front_end.norms[0], value)
    norms = [*front_end.norms[1:], *[None] * (len(convs) - len(front_end.norms))]
    for i, (conv, norm) in enumerate(zip(convs[1:], norms, strict=True), 1):
        conv_name, passed = f"{name}.convs.{i}", value
        value = input_bits(program, conv_name, conv, value)
        affine = affine_of(norm) if isinstance(norm, FrameBatchNorm) else None
        value = lower_conv(program, conv_name, conv, value, affine=affine)
        if isinstance(norm, FrameNorm):
            value = _norm(program, norm, value)
        if front_end.has_shortcut:
            value = program.add("add", [value, frames_mean(program, passed, conv)])
    return activation(program, value, "gelu")


def _plain_front_end(program: Program, name: str, front_end: FrontEnd, waveform: int) -> int:
    """That of HuBERT Base: one norm, behind the first convolution."""
    convs = [conv for conv in front_end.convs if isinstance(conv, Conv1d)]
    norm, second = front_end.norms[0], f"{name}.convs.1"
    if isinstance(norm, ChannelNorm) and is_binary(second, convs[1]):
        value = waveform_bits(program, convs[0], norm, input_binarizer(second, convs[1]), waveform)
    else:
        value = lower_conv(program, f"{name}.convs.0", convs[0], waveform)
        value = _norm(program, norm, value)
        value = input_bits(program, second, convs[1], value)
    for i, conv in enumerate(convs[1:], start=1):
        then, next_name = None, f"{name}.convs.{i + 1}"
        if i + 1 < len(convs) and is_binary(next_name, convs[i + 1]):
            then = input_binarizer(next_name, convs[i + 1])
        value = lower_conv(program, f"{name}.convs.{i}", conv, value, then=then)
    return activation(program, value, "gelu")


def _position(program: Program, name: str, position: PositionalConv, value: int) -> int:
    conv = position.conv
    assert isinstance(conv, Conv1d)
    read = input_bits(program, f"{name}.conv", conv, value)
    # An even kernel padded by half on both sides gives one frame too many.
    moved = lower_conv(program, f"{name}.conv", conv, read, drop=1 - conv.kernel_size[0] % 2)
    return program.add("add", [value, activation(program, moved, "gelu")])


def _layer(program: Program, name: str, layer: TransformerLayer, value: int) -> int:
    attended = _attention(program, f"{name}.attention", layer.attention, value)
    value = program.add("add", [value, attended])
    value = _norm(program, layer.attention_norm, value)
    fed = _feed_forward(program, f"{name}.feed_forward", layer.feed_forward, value)
    value = program.add("add", [value, fed])
    return _norm(program, layer.output_norm, value)


def _pre_norm_layer(program: Program, name: str, layer: TransformerLayer, value: int) -> int:
    read = _norm(program, layer.attention_norm, value)
    attended = _attention(program, f"{name}.attention", layer.attention, read)
    value = program.add("add", [value, attended])
    read = _norm(program, layer.output_norm, value)
    fed = _feed_forward(program, f"{name}.feed_forward", layer.feed_forward, read)
    return program.add("add", [value, fed])


def _feed_forward(program: Program, name: str, block: FeedForward, value: int) -> int:
    then = None
    if is_binary(f"{name}.output", block.output):
        then = input_binarizer(f"{name}.output", block.output)
    value = input_bits(program, f"{name}.intermediate", block.intermediate, value)
    value = lower_linear(program, f"{name}.intermediate", block.intermediate, value, then=then)
    return lower_linear(program, f"{name}.output", block.output, value)


def _attention(program: Program, name: str, block: SelfAttention, value: int) -> int:
    has_bits = is_binary(f"{name}.scores", block.scores)
    if has_bits != is_binary(f"{name}.context", block.context):
        raise UnsupportedError(
            f"{name}: one of scores and context is binary and the other is not; "
            "give both the same precision in the plan"
        )
    n_heads, width = block.n_heads, block.out_proj.in_features
    radius = block.radius_frames if isinstance(block, WindowAttention) else -1
    zero = np.zeros(width, np.float32)
    projected = []
    for role, leaf, factor, operand in (
        ("q_proj", block.q_proj, block.q_scale, "scores.left"),
        ("k_proj", block.k_proj, 1.0, "scores.right"),
        ("v_proj", block.v_proj, 1.0, "context.right"),
    ):
        then = None
        if has_bits:
            then = Binarizer(f"{name}.{operand}", signed_bits(zero), width, n_heads)
        read = input_bits(program, f"{name}.{role}", leaf, value)
        projected.append(
            lower_linear(program, f"{name}.{role}", leaf, read, then=then, factor=factor)
        )
    if has_bits:
        context = _binary_attention(program, name, block, projected, radius)
    else:
        context = program.add(
            "attention_f32",
            projected,
            ints={"heads": n_heads, "radius": radius},
            floats={"score_scale": float(np.float32(block.q_scale))},
        )
        context = input_bits(program, f"{name}.out_proj", block.out_proj, context)
    return lower_linear(program, f"{name}.out_proj", block.out_proj, context)


def _binary_attention(
    program: Program, name: str, block: SelfAttention, operands: list[int], radius: int
) -> int:
    scores, context = block.scores, block.context
    assert isinstance(scores, QuantizedMatMul)
    assert isinstance(context, QuantizedMatMul)
    left, right = step_of(scores.left_quantizer), step_of(scores.right_quantizer)
    share = step_of(context.left_quantizer)
    scale = share * step_of(context.right_quantizer)
    ints = {"head_dim": block.out_proj.in_features // block.n_heads, "radius": radius}
    floats = {"score_scale": float(left * right), "prob_half": float(share / np.float32(2))}
    if not is_binary(f"{name}.out_proj", block.out_proj):
        return program.add(
            "attention_b1", operands, ints=ints, floats=floats | {"scale": float(scale)}
        )
    then = input_binarizer(f"{name}.out_proj", block.out_proj)
    # The product over keys has no fixed length; no sequence is longer than this many frames.
    thresholds = product_bits(then, 2**24, lambda dot: scale * dot.astype(np.float32))
    made = program.add(
        "attention_b1", operands, ints=ints, floats=floats, tensors={"threshold": thresholds}
    )
    program.bits[then.leaf_name] = made
    return made


def _norm(program: Program, norm: torch.nn.Module, value: int) -> int:
    assert isinstance(norm, (torch.nn.LayerNorm, ChannelNorm))
    op = "group_norm" if isinstance(norm, ChannelNorm) else "layer_norm"
    return program.add(
        op,
        [value],
        floats={"eps": norm.eps},
        tensors={"weight": array(norm.weight), "bias": array(norm.bias)},
    )
