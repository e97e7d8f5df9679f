"""Names of tensors in transformers, fairseq and torchaudio, and in `AudioModel`.

Names of fairseq and torchaudio are mapped to those of transformers, and these to ours.
Sources: the conversion scripts of huggingface/transformers for HuBERT, wav2vec 2.0 and WavLM, and
pytorch/audio torchaudio/models/wav2vec2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Rules = Sequence[tuple[str, str]]
_LAYER = r"^(encoder\.layers\.\d+\.)"
GAIN = "parametrizations.weight.original0"
DIRECTION = "parametrizations.weight.original1"
POSITION = "encoder.position.conv."

_OURS: Rules = (
    (r"^masked_spec_embed$", "mask_embedding"),
    (r"^feature_extractor\.conv_layers\.(\d+)\.conv\.", r"front_end.convs.\1."),
    (r"^feature_extractor\.conv_layers\.(\d+)\.layer_norm\.", r"front_end.norms.\1."),
    (r"^feature_projection\.layer_norm\.", "feature_norm."),
    (r"^feature_projection\.projection\.", "projection."),
    (r"^encoder\.pos_conv_embed\.conv\.", POSITION),
    (r"^encoder\.pos_conv_embed\.batch_norm\.", "encoder.position.norm."),
    (r"^encoder\.layer_norm\.", "encoder.norm."),
    (r"^encoder\.layers\.0\.attention\.rel_attn_embed\.", "encoder.position_bias."),
    (_LAYER + r"attention\.gru_rel_pos_linear\.", r"\1attention.gate."),
    (_LAYER + r"attention\.gru_rel_pos_const$", r"\1attention.gate.constant"),
    (_LAYER + r"layer_norm\.", r"\1attention_norm."),
    (_LAYER + r"final_layer_norm\.", r"\1output_norm."),
    (_LAYER + r"feed_forward\.intermediate_dense\.", r"\1feed_forward.intermediate."),
    (_LAYER + r"feed_forward\.output_dense\.", r"\1feed_forward.output."),
    # Two names of older weight norm.
    (f"^{re.escape(POSITION)}weight_g$", POSITION + GAIN),
    (f"^{re.escape(POSITION)}weight_v$", POSITION + DIRECTION),
)

_OF_FAIRSEQ: Rules = (
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^(feature_extractor\.conv_layers\.\d+\.)0\.", r"\1conv."),
    (r"^(feature_extractor\.conv_layers\.\d+\.)2\.(1\.)?", r"\1layer_norm."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (_LAYER + r"self_attn\.grep_linear\.", r"\1attention.gru_rel_pos_linear."),
    (_LAYER + r"self_attn\.grep_a$", r"\1attention.gru_rel_pos_const"),
    (_LAYER + r"self_attn\.relative_attention_bias\.", r"\1attention.rel_attn_embed."),
    (_LAYER + r"self_attn\.", r"\1attention."),
    (_LAYER + r"self_attn_layer_norm\.", r"\1layer_norm."),
    (_LAYER + r"fc1\.", r"\1feed_forward.intermediate_dense."),
    (_LAYER + r"fc2\.", r"\1feed_forward.output_dense."),
)
# With a batch norm, the convolution is the second module.
_BATCH_NORM: Rules = (
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.batch_norm."),
    (r"^encoder\.pos_conv\.1\.", "encoder.pos_conv_embed.conv."),
)

_OF_TORCHAUDIO: Rules = (
    (r"^mask_generator\.mask_embedding$", "masked_spec_embed"),
    (r"^encoder\.feature_projection\.", "feature_projection."),
    (r"^encoder\.transformer\.", "encoder."),
    (_LAYER + r"attention\.attention\.out_proj\.", r"\1attention.out_proj."),
)

HEADS = (
    # transformers
    *("lm_head.", "projector.", "classifier.", "layer_weights", "quantizer.", "project_q."),
    *("project_hid.", "feature_extractor.pooling", "tdnn.", "objective."),
    # fairseq, s3prl and torchaudio
    *("final_proj.", "label_embs_concat", "target_glu.", "output_layer.", "task_embedding."),
    *("proj.", "aux.", "logit_generator.", "spk_proj."),
)
"""Beginnings of names of tensors that only pre-training or a task reads."""


def our_name(name: str) -> str:
    """The name in `AudioModel` of a tensor of transformers, without the prefix of task models."""
    for pattern, ours in _OURS:
        name = re.sub(pattern, ours, name, count=1)
    return name


def from_fairseq(name: str, *, has_batch_norm: bool = False) -> str:
    """The name in transformers of a tensor of fairseq, WavLM or s3prl."""
    for pattern, theirs in (*(_BATCH_NORM if has_batch_norm else ()), *_OF_FAIRSEQ):
        name = re.sub(pattern, theirs, name, count=1)
    return name


def from_torchaudio(name: str) -> str:
    """The name in transformers of a tensor of torchaudio."""
    for pattern, theirs in _OF_TORCHAUDIO:
        name = re.sub(pattern, theirs, name, count=1)
    return name
