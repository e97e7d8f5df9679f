"""The same HuBERT in transformers: an independent judge of results and a peer in time."""

import re

import pytest

from earbit.encoders.transformer import TransformerConfig
from earbit.model import ModelConfig


def hugging_face_twin(config: ModelConfig, attention: str = "eager"):
    """A HubertModel of the shape of ours, in evaluation mode, with weights of its own."""
    transformers = pytest.importorskip("transformers")
    encoder = config.encoder
    assert isinstance(encoder, TransformerConfig)
    twin = transformers.HubertModel(
        transformers.HubertConfig(
            hidden_size=encoder.d_model,
            num_hidden_layers=encoder.n_layers,
            num_attention_heads=encoder.n_heads,
            intermediate_size=encoder.d_ffn,
            conv_dim=(config.front_end.n_channels,) * 7,
            num_conv_pos_embeddings=encoder.position_kernel,
            do_stable_layer_norm=encoder.norm == "pre",
            feat_extract_norm={"channel": "group", "layer": "layer"}[config.front_end.norm],
            conv_bias=config.front_end.conv_bias,
            attn_implementation=attention,
        )
    )
    return twin.eval()


HUGGING_FACE_NAMES = (
    ("mask_embedding", "masked_spec_embed"),
    ("front_end.convs", "feature_extractor.conv_layers"),
    ("feature_norm", "feature_projection.layer_norm"),
    ("encoder.position.conv", "encoder.pos_conv_embed.conv"),
    ("encoder.norm", "encoder.layer_norm"),
    ("attention_norm", "layer_norm"),
    ("output_norm", "final_layer_norm"),
    ("feed_forward.intermediate", "feed_forward.intermediate_dense"),
    ("feed_forward.output", "feed_forward.output_dense"),
)


def their_name(name: str) -> str:
    """The name of a parameter of ours in a HubertModel."""
    if name.startswith("projection."):
        return f"feature_projection.{name}"
    name = re.sub(r"front_end\.norms\.(\d)", r"feature_extractor.conv_layers.\1.layer_norm", name)
    for ours, theirs in HUGGING_FACE_NAMES:
        name = name.replace(ours, theirs)
    if "conv_layers" in name and "layer_norm" not in name:
        name = re.sub(r"\.(weight|bias)$", r".conv.\1", name)
    return name
