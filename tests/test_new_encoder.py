"""An encoder costs one file, one row of the table and its lowering; all stages then serve it."""

import json

ENCODER = '''
"""A Transformer without positions: an encoder that the package does not have."""

from dataclasses import dataclass

import torch

from earbit.nn.attention import SelfAttention
from earbit.nn.transformer_layer import TransformerLayer, run_layers


@dataclass(frozen=True, kw_only=True, slots=True)
class BareConfig:
    n_layers: int
    d_model: int
    n_heads: int
    d_ffn: int


class BareEncoder(torch.nn.Module):
    layer_drop = 0.0

    def __init__(self, config):
        super().__init__()
        d_model = config.d_model
        self.layers = torch.nn.ModuleList(
            TransformerLayer(
                SelfAttention(d_model, config.n_heads, 0.0), d_model, config.d_ffn, 0.0
            )
            for _ in range(config.n_layers)
        )

    def forward(self, x_BTD, lengths=None):
        return run_layers(self.layers, x_BTD, lengths, 0.0)

    def layer_inputs(self, states):
        return states[:-1]
'''
LOWERING = '''
"""Lowers the encoder without positions."""

from earbit.export.attention import lower_attention
from earbit.export.blocks import lower_feed_forward, lower_norm


def lower_bare(program, name, encoder, value):
    states = [value]
    for i, layer in enumerate(encoder.layers):
        at = f"{name}.layers.{i}"
        made = lower_attention(program, f"{at}.attention", layer.attention, states[-1])
        value = lower_norm(program, layer.attention_norm, made, states[-1])
        made = lower_feed_forward(program, f"{at}.feed_forward", layer.feed_forward, value)
        states.append(lower_norm(program, layer.output_norm, made, value))
    return states
'''
USE = """
import json
from pathlib import Path

import numpy as np
import torch
from earbit.config import from_dict, to_dict
from earbit.cost.profile import profile_model
from earbit.export.verb import export_to
from earbit.load import load_model, random_model
from earbit.model import ModelConfig
from earbit.model_file import save_model
from earbit.nn.leaves import leaves_of
from earbit.quantize.plan import PLANS
from earbit.quantize.student import noise_clips, quantized_copy
from earbit.runtime import Session

shape = {"type": "bare", "n_layers": 2, "d_model": 32, "n_heads": 2, "d_ffn": 48}
values = {"encoder": shape, "front_end": {"n_channels": 16}}
config = from_dict(ModelConfig, values)
model = random_model(config, 0).eval()
save_model(quantized_copy(model, "w1a1", noise_clips(0)), Path("model.safetensors"), {})
loaded = load_model("model.safetensors")
waveform = noise_clips(1, n_clips=1, n_samples=16_000)[0]
result = export_to(loaded, Path("bare.safetensors"), name="bare", waveform=waveform)
with torch.no_grad():
    expected = loaded(torch.from_numpy(waveform)[None]).states[-1][0].numpy()
features = Session("bare.safetensors").run(waveform)
profile = profile_model(config, {}, n_samples=16_000, name="bare", plan="fp32")
found = {
    "type": to_dict(config)["encoder"]["type"],
    "quantized": {
        name: sum(not p.is_float for p in plan.precisions(leaves_of(model)).values())
        for name, plan in PLANS.items()
    },
    "macs": {role: cost.macs for role, cost in profile.groups.items()},
    "unknown": profile.unknown_ops,
    "bits": result["agreement"]["bit_agreement"],
    "cosine": float(np.vdot(features, expected))
    / float(np.linalg.norm(features) * np.linalg.norm(expected)),
}
Path("found.json").write_text(json.dumps(found))
"""


def test_an_encoder_of_one_file_one_row_and_its_lowering_is_profiled_quantized_and_run(
    package_copy,
):
    package_copy.add_file("encoders/bare.py", ENCODER)
    package_copy.add_row(
        "encoders/table.py",
        "    TransformerConfig: TransformerEncoder,\n",
        "    BareConfig: BareEncoder,\n",
        "from earbit.encoders.bare import BareConfig, BareEncoder\n",
    )
    package_copy.add_file("export/bare.py", LOWERING)
    package_copy.add_row(
        "export/lower.py",
        "    TransformerEncoder: lower_transformer,\n",
        "    BareEncoder: lower_bare,\n",
        "from earbit.encoders.bare import BareEncoder\nfrom earbit.export.bare import lower_bare\n",
    )
    package_copy.run(USE)
    found = json.loads((package_copy.folder / "found.json").read_text())
    t, c, d, e = 49, 16, 32, 48
    assert found["type"] == "bare"
    assert found["macs"]["projection"] == t * c * d
    assert found["macs"]["attention"] == 2 * (4 * t * d * d + 2 * t * t * d)
    assert found["macs"]["feed_forward"] == 2 * 2 * t * d * e
    assert found["macs"]["position"] == found["macs"]["convolution"] == 0
    assert found["unknown"] == {}
    # Two layers of six leaves in attention and two in the feed-forward; six convolutions.
    front_end_too = dict.fromkeys(found["quantized"], 16 + 6)
    assert found["quantized"] == front_end_too | {"fp32": 0, "w1a1-encoder": 16}
    assert found["bits"] > 0.999
    assert found["cosine"] > 0.999
