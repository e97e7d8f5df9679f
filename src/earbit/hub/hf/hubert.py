"""HuBERT models of earbit as `HubertModel` and `HubertForCTC` of transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import HubertConfig, HubertForCTC, HubertModel, PreTrainedModel

from earbit.encoders.transformer import TransformerConfig
from earbit.frames import KERNELS, STRIDES
from earbit.heads.linear import FrameLinear
from earbit.hub.hugging_face_config import NORMS
from earbit.hub.tensor_names import our_name
from earbit.model import AudioModel, ModelConfig
from earbit.nn.filterbank import FilterbankConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.positional import N_GROUPS
from earbit.quantize.convert import quantized_leaves_of
from earbit.superb.head_file import TrainedHead

THEIR_NORMS = {ours: theirs for theirs, ours in NORMS.items()}
_HEAD, _BASE = "lm_head.", "hubert."
"""Beginnings of the tensor names of HubertForCTC."""


def why_not_hubert(model: AudioModel, head: TrainedHead | None) -> str | None:
    """Why the classes of HuBERT cannot hold a model with its head; None if they can."""
    config = model.config
    if not isinstance(config.encoder, TransformerConfig):
        return f"the encoder is a {type(config.encoder).__name__.removesuffix('Config')}"
    if quantized_leaves_of(model):
        return "the model is quantized"
    if isinstance(config.front_end, FilterbankConfig):
        return "the front end is a filterbank"
    if config.front_end.norm not in THEIR_NORMS:
        return f"the front end has norm={config.front_end.norm!r}"
    if config.front_end.shortcut:
        return "the front end has shortcuts"
    if head is not None and linear_on_last_state(head) is None:
        return f"the head of task {head.task.name} is not one linear layer on the last state"
    return None


def linear_on_last_state(head: TrainedHead) -> tuple[Tensor, Tensor] | None:
    """Weight and bias if a CTC head is a linear map of the last hidden state, else None."""
    network = head.head
    if not isinstance(network, FrameLinear) or network.layers.shares()[-1] != 1:
        return None
    first, last = network.projection, network.output
    assert first.bias is not None
    assert last.bias is not None
    # Two linear layers in a row are one, computed in float64.
    weight = last.weight.detach().double() @ first.weight.detach().double()
    bias = last.weight.detach().double() @ first.bias.detach().double() + last.bias.detach()
    return weight.float(), bias.float()


def as_hubert(model: AudioModel, head: TrainedHead | None) -> PreTrainedModel:
    """A model for which `why_not_hubert` is None as HubertModel, or HubertForCTC with its head."""
    tensors: dict[str, Tensor] = {}
    if head is None:
        theirs = HubertModel(_config_of(model.config))
    else:
        linear = linear_on_last_state(head)
        assert linear is not None
        theirs = HubertForCTC(_config_of(model.config, vocab_size=len(head.outputs)))
        tensors |= {f"{_HEAD}weight": linear[0], f"{_HEAD}bias": linear[1]}
    ours = model.state_dict()
    for name in theirs.state_dict():
        if not name.startswith(_HEAD):
            tensors[name] = ours[our_name(name.removeprefix(_BASE))]
    theirs.load_state_dict(tensors)
    return theirs.eval()


def _config_of(config: ModelConfig, **more: Any) -> HubertConfig:
    encoder, front_end = config.encoder, config.front_end
    assert isinstance(encoder, TransformerConfig)
    assert isinstance(front_end, FrontEndConfig)
    return HubertConfig(
        hidden_size=encoder.d_model,
        num_hidden_layers=encoder.n_layers,
        num_attention_heads=encoder.n_heads,
        intermediate_size=encoder.d_ffn,
        hidden_dropout=encoder.dropout,
        attention_dropout=encoder.dropout,
        activation_dropout=0.0,
        feat_proj_dropout=config.dropout_input,
        layerdrop=encoder.layer_drop,
        conv_dim=[front_end.n_channels] * len(KERNELS),
        conv_kernel=list(KERNELS),
        conv_stride=list(STRIDES),
        conv_bias=front_end.conv_bias,
        feat_extract_norm=THEIR_NORMS[front_end.norm],
        num_conv_pos_embeddings=encoder.position_kernel,
        num_conv_pos_embedding_groups=N_GROUPS,
        conv_pos_batch_norm=encoder.position_norm == "batch",
        feat_proj_layer_norm=config.feature_norm,
        do_stable_layer_norm=encoder.norm == "pre",
        # The first symbol of a vocabulary is the CTC blank.
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
        dtype=torch.float32,
        **more,
    )
