"""Learning rates of layers, by hand."""

import pytest
from tuning import MODEL

from earbit.finetune.config import FinetuneConfig, lr_factor
from earbit.finetune.network import Network
from earbit.heads.head import HeadShape
from earbit.heads.linear import MeanPoolLinear
from earbit.load import random_model
from earbit.pretrain.optimiser import OptimiserConfig, build_optimiser, set_lr
from earbit.quantize.student import noise_clips, quantized_copy

HEAD = HeadShape(n_states=3, width=16, n_outputs=3, d_hidden=8)
CONFIG = FinetuneConfig(
    optimiser=OptimiserConfig(
        peak_lr=1e-2, n_steps=10, warmup_steps=0, quantizer_lr_factor=0.1, weight_decay=0.25
    ),
    batch_size=1,
    d_hidden=8,
    encoder_lr_factor=0.5,
    layer_decay=0.2,
)
RATES = {
    "head.output.weight": 1e-2,
    "head.layers.logits": 1e-2,
    "model.encoder.layers.1.attention.q_proj.weight": 5e-3,
    "model.encoder.layers.0.attention.q_proj.weight": 1e-3,
    "model.encoder.norm.weight": 2e-4,
    "model.projection.bias": 2e-4,
    "model.encoder.layers.0.attention.q_proj.input_quantizer.scale": 1e-4,
    "model.front_end.convs.1.input_quantizer.scale": 2e-5,
}


def test_rates_fall_from_the_head_down_by_the_decay_of_a_layer():
    model = quantized_copy(random_model(MODEL, 0), "w1a1", noise_clips(0))
    network = Network(model, MeanPoolLinear(HEAD))
    optimiser = build_optimiser(network, CONFIG.optimiser, lambda n: lr_factor(n, 2, CONFIG))
    set_lr(optimiser, 1e-2)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    group_of = {names[id(p)]: group for group in optimiser.param_groups for p in group["params"]}
    assert group_of.keys() == set(names.values())
    for name, rate in RATES.items():
        assert group_of[name]["lr"] == pytest.approx(rate), name
        decay = 0 if "quantizer" in name else 0.25
        assert group_of[name]["weight_decay"] == decay, name
