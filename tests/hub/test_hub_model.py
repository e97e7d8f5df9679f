"""Models with the mixin of huggingface_hub, without transformers."""

import subprocess
import sys

import pytest
import torch

from earbit.export.prepared_model import model_of
from earbit.load import load_model

pytest.importorskip("huggingface_hub")
from earbit.hub.hub_model import HubModel  # noqa: E402


@pytest.mark.parametrize("plan", [None, "w1a2"])
def test_a_saved_model_is_the_same_bit_by_bit_and_a_model_folder_of_earbit(plan, tmp_path):
    model = model_of("conformer-tiny", plan=plan, seed=0)
    HubModel(model, {"stage": "pretrain"}).save_pretrained(tmp_path)
    again = HubModel.from_pretrained(tmp_path)
    assert again.origin == {"stage": "pretrain"}
    for found in (again.model, load_model(tmp_path)):
        for name, tensor in model.state_dict().items():
            assert torch.equal(found.state_dict()[name], tensor), name
    wave = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again.eval()(wave).states[-1], model(wave).states[-1])
    assert "library_name: earbit" in (tmp_path / "README.md").read_text()


def test_transformers_is_not_imported():
    code = "import earbit.hub.hub_model, sys; print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
