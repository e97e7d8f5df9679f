"""Ways between fairseq, earbit and transformers, which change no bit of a tensor."""

import pytest
import torch
from true_layouts import fairseq_settings, fairseq_state, write_checkpoint

from earbit.hub.verb import import_model

transformers = pytest.importorskip("transformers")
from earbit.hub.hf.export import export_hf  # noqa: E402

SHAPE = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
}
VARIANTS = {
    "base": {},
    "large": {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True},
    "batch norm": {"conv_pos_batch_norm": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_fairseq_to_earbit_to_transformers_changes_no_bit(variant, tmp_path):
    torch.manual_seed(0)
    config = transformers.HubertConfig(**SHAPE, **VARIANTS[variant])
    model = transformers.HubertModel(config).eval()
    normalizes = variant == "large"
    content = {
        "cfg": {"model": fairseq_settings(model), "task": {"normalize": normalizes}},
        "model": fairseq_state(model),
    }
    path = write_checkpoint(content, tmp_path / "fairseq.pt")
    import_model(path, tmp_path / "ours")
    assert export_hf(str(tmp_path / "ours"), tmp_path / "theirs")["class"] == "HubertModel"
    again = transformers.HubertModel.from_pretrained(tmp_path / "theirs")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "theirs")
    assert extractor.do_normalize is normalizes
