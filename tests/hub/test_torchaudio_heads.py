"""The number of heads, which no shape of a state dict of torchaudio tells."""

import pytest
from test_hugging_face_families import random_twin
from true_layouts import torchaudio_state, write_checkpoint

from earbit.hub.torchaudio_checkpoint import N_HEADS
from earbit.hub.verb import import_model

PUBLISHED = {
    "WAV2VEC2_BASE, HUBERT_BASE, WAVLM_BASE": (768, 12),
    "WAV2VEC2_LARGE, WAV2VEC2_XLSR53, WAV2VEC2_XLSR_300M, HUBERT_LARGE, WAVLM_LARGE": (1024, 16),
    "WAV2VEC2_XLSR_1B, HUBERT_XLARGE": (1280, 16),
    "WAV2VEC2_XLSR_2B": (1920, 16),
}
"""Width and heads of the bundles of torchaudio.pipelines (encoder_embed_dim, encoder_num_heads)."""


def test_every_published_width_has_its_heads():
    assert dict(PUBLISHED.values()) == N_HEADS


@pytest.mark.parametrize(("family", "is_said"), [("hubert", True), ("wavlm", False)])
def test_heads_that_no_published_model_confirms_are_said(family, is_said, tmp_path, capsys):
    more = {"num_buckets": 12} if family == "wavlm" else {"num_attention_heads": 1}
    theirs = random_twin(family, **more)
    path = write_checkpoint(torchaudio_state(theirs), tmp_path / "theirs.pt")
    import_model(path, tmp_path / "ours")
    said = "width 48 is that of no published model (published: 768, 1024, 1280, 1920), so 1 heads"
    assert (said in capsys.readouterr().err) == is_said
