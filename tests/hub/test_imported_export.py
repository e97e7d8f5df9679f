"""Imported models are profiled, quantized, exported and run like ours."""

import pytest
import torch
from test_hugging_face_families import random_twin

from earbit import Session
from earbit.cost.trace import trace
from earbit.export.verb import export_model
from earbit.hub.verb import import_model
from earbit.load import load_model

CASES = {
    "wavlm": ("wavlm", {"num_buckets": 12, "max_bucket_distance": 30}),
    "wavlm-large": ("wavlm", {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}),
    "wav2vec2": ("wav2vec2", {}),
    "batch-norm": ("hubert", {"conv_pos_batch_norm": True}),
    "student": ("hubert", {"feat_proj_layer_norm": False}),
}


@pytest.fixture(scope="module", params=CASES)
def imported(request, tmp_path_factory):
    family, settings = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    theirs = random_twin(family, **settings)
    theirs.save_pretrained(folder / "theirs")
    import_model(folder / "theirs", folder / "ours")
    return theirs, folder


def test_a_program_in_float_has_the_states_of_transformers(imported):
    theirs, folder = imported
    export_model(str(folder / "ours"), folder / "float.safetensors")
    wave = torch.randn(12_000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(wave[None]).last_hidden_state[0].numpy()
    states = Session(folder / "float.safetensors").run(wave.numpy())
    assert abs(states - expected).max() < 1e-4 * abs(expected).max()


@pytest.mark.parametrize("plan", ["w8a8", "w1a1"])
def test_a_quantized_program_equals_the_model_in_pytorch(plan, imported):
    _, folder = imported
    result = export_model(str(folder / "ours"), folder / f"{plan}.safetensors", plan=plan)
    assert result["agreement"]["bit_agreement"] > 0.9995


def test_all_operations_have_a_cost(imported):
    _, folder = imported
    counted = trace(load_model(folder / "ours").to("meta"), torch.zeros(1, 16_000, device="meta"))
    assert counted.unknown_ops == {}
