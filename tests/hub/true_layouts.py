"""Checkpoints in the layouts of other programs, from a model of transformers.

The names are those that the conversion scripts of transformers read (of HuBERT,
wav2vec 2.0 and WavLM), written here a second time, from transformers to the other program.
"""

import argparse
import re
import sys
import types
from contextlib import contextmanager

import torch

TO_FAIRSEQ = (
    (r"^masked_spec_embed$", "mask_emb"),
    (r"conv_layers\.(\d)\.conv\.", r"conv_layers.\1.0."),
    (r"^feature_projection\.layer_norm\.", "layer_norm."),
    (r"^feature_projection\.projection\.", "post_extract_proj."),
    (r"pos_conv_embed\.conv\.parametrizations\.weight\.original0", "pos_conv.0.weight_g"),
    (r"pos_conv_embed\.conv\.parametrizations\.weight\.original1", "pos_conv.0.weight_v"),
    (r"pos_conv_embed\.conv\.bias", "pos_conv.0.bias"),
    (r"\.attention\.gru_rel_pos_linear\.", ".self_attn.grep_linear."),
    (r"\.attention\.gru_rel_pos_const", ".self_attn.grep_a"),
    (r"\.attention\.rel_attn_embed\.", ".self_attn.relative_attention_bias."),
    (r"\.attention\.", ".self_attn."),
    (r"^(encoder\.layers\.\d+)\.layer_norm\.", r"\1.self_attn_layer_norm."),
    (r"\.feed_forward\.intermediate_dense\.", ".fc1."),
    (r"\.feed_forward\.output_dense\.", ".fc2."),
)


def fairseq_state(model):
    """The state dict under the names of fairseq."""
    is_layer_norm = model.config.feat_extract_norm == "layer"
    of_norm = r"conv_layers.\1.2.1." if is_layer_norm else r"conv_layers.\1.2."
    rules = (*TO_FAIRSEQ, (r"conv_layers\.(\d)\.layer_norm\.", of_norm))
    if model.config.model_type == "hubert" and model.config.conv_pos_batch_norm:
        rules = (
            (r"pos_conv_embed\.conv\.", "pos_conv.1."),
            (r"pos_conv_embed\.batch_norm\.", "pos_conv.0."),
            *rules,
        )
    return {_renamed(name, rules): tensor for name, tensor in model.state_dict().items()}


def _renamed(name, rules):
    for pattern, other in rules:
        name = re.sub(pattern, other, name, count=1)
    return name


def fairseq_settings(model):
    """The fields of the configuration of fairseq, and some that an importer must pass over."""
    config = model.config
    width = config.conv_dim[0]
    return {
        "_name": "hubert",
        "extractor_mode": "layer_norm" if config.feat_extract_norm == "layer" else "default",
        "encoder_layers": config.num_hidden_layers,
        "encoder_embed_dim": config.hidden_size,
        "encoder_ffn_embed_dim": config.intermediate_size,
        "encoder_attention_heads": config.num_attention_heads,
        "activation_fn": "gelu",
        "layer_norm_first": config.do_stable_layer_norm,
        "conv_feature_layers": f"[({width},10,5)] + [({width},3,2)] * 4 + [({width},2,2)] * 2",
        "conv_bias": config.conv_bias,
        "conv_pos": config.num_conv_pos_embeddings,
        "conv_pos_groups": 16,
        "conv_pos_batch_norm": getattr(config, "conv_pos_batch_norm", False),
        "dropout": 0.1,
        "encoder_layerdrop": 0.05,
        "feature_grad_mult": 0.1,
        "final_dim": 8,
        "untie_final_proj": True,
    }


def torchaudio_state(model):
    """The state dict under the names of torchaudio."""
    rules = (
        (r"^masked_spec_embed$", "mask_generator.mask_embedding"),
        (r"^feature_projection\.", "encoder.feature_projection."),
        (r"^encoder\.(?!feature)", "encoder.transformer."),
    )
    state = {_renamed(name, rules): tensor for name, tensor in model.state_dict().items()}
    if model.config.model_type != "wavlm":
        return state
    for i in range(model.config.num_hidden_layers):
        at = f"encoder.transformer.layers.{i}.attention."
        for kind in ("weight", "bias"):
            parts = [state.pop(f"{at}{role}_proj.{kind}") for role in "qkv"]
            state[f"{at}attention.in_proj_{kind}"] = torch.cat(parts)
            state[f"{at}attention.out_proj.{kind}"] = state.pop(f"{at}out_proj.{kind}")
    return state


class DictConfig:
    """A mapping of omegaconf, as it is pickled."""

    def __init__(self, content):
        self._metadata = None
        self._content = {name: AnyNode(value) for name, value in content.items()}


class AnyNode:
    """A value of omegaconf."""

    def __init__(self, value):
        self._val = DictConfig(value) if isinstance(value, dict) else value


class Dictionary:
    """The vocabulary of fairseq."""

    def __init__(self, symbols):
        self.symbols = symbols
        self.indices = {symbol: i for i, symbol in enumerate(symbols)}
        self.bos_word, self.pad_word = "<s>", "<pad>"


HOMES = {
    DictConfig: "omegaconf.dictconfig",
    AnyNode: "omegaconf.nodes",
    Dictionary: "fairseq.data.dictionary",
}
for _class, _home in HOMES.items():
    _class.__module__ = _home


@contextmanager
def foreign_modules():
    """Modules of omegaconf and fairseq while a file is written, and not when it is read."""
    added = []
    for made, home in HOMES.items():
        parts = home.split(".")
        for n in range(1, len(parts) + 1):
            name = ".".join(parts[:n])
            if name not in sys.modules:
                sys.modules[name] = types.ModuleType(name)
                added.append(name)
        setattr(sys.modules[home], made.__name__, made)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


def namespace(settings):
    """Settings as older versions of fairseq keep them."""
    return argparse.Namespace(**settings)


def write_checkpoint(content, path, *, is_zip=True):
    with foreign_modules():
        torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path
