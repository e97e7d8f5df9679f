"""The pre-training loss by hand, on the logits of three frames."""

from math import log
from types import SimpleNamespace

import pytest
import torch

from earbit.model import ModelOutput
from earbit.pretrain.objective import unit_loss


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_loss_is_that_of_hidden_frames_and_ten_times_the_penalty(weight):
    logits_BTU = torch.tensor([[[log(3), 0.0], [0.0, log(4)], [0.0, 0.0]]])
    mask_BT = torch.tensor([[True, False, True]])
    targets_BT = torch.tensor([[0, 0, 1]])
    output = ModelOutput([torch.zeros(1, 3, 2), logits_BTU], None, torch.tensor(0.9))
    model = SimpleNamespace(unit_logits=lambda states: states)
    loss = unit_loss(model, output, mask_BT, targets_BT, weight)
    # Probabilities of the targets: 3/4 and 1/2 where hidden, 1/5 elsewhere.
    hidden, seen = (log(4 / 3) + log(2)) / 2, log(5)
    assert loss.total.item() == pytest.approx(hidden + 10 * 0.9 + weight * seen, rel=1e-6)
    assert loss.parts["cross_entropy"].item() == pytest.approx(hidden, rel=1e-6)
    assert loss.parts["unmasked_cross_entropy"].item() == pytest.approx(seen, rel=1e-6)
    assert loss.parts["feature_penalty"].item() == pytest.approx(0.9)
