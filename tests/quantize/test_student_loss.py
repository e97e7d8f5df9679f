"""What a student learns from, by hand arithmetic; a model that is lent comes back as it was."""

import dataclasses

import pytest
import torch

from earbit.encoders.transformer import TransformerConfig
from earbit.errors import ConfigError, DataError
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.quantize.train import STATES_ALONE, LossWeights, check_weights, student_loss

MODEL = ModelConfig(
    encoder=TransformerConfig(
        n_layers=3, d_model=32, n_heads=2, d_ffn=64, position_kernel=16, layer_drop=0.0
    ),
    front_end=FrontEndConfig(n_channels=32),
    n_units=5,
)
UNITS_ALONE = LossWeights(units=1, states=0, logits=0)
LOGITS_ALONE = LossWeights(units=0, states=0, logits=1)


def batch_of_one() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Audio, mask and targets."""
    wave = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    mask, targets = torch.zeros(1, 12, dtype=torch.bool), torch.zeros(1, 12, dtype=torch.long)
    mask[:, :6] = True
    return wave, mask, targets


def two_models() -> tuple[torch.nn.Module, torch.nn.Module]:
    """Student and teacher."""
    student, teacher = (random_model(MODEL, seed).eval() for seed in (0, 1))
    return student, teacher


def outputs(*models: torch.nn.Module) -> list[list[torch.Tensor]]:
    """The hidden states of every model."""
    wave, mask, _ = batch_of_one()
    with torch.no_grad():
        return [model(wave, mask_BT=mask).states for model in models]


def test_the_divergence_of_logits_is_that_of_the_probabilities():
    student, teacher = two_models()
    weights = LossWeights(units=0, states=0, logits=2)
    loss = student_loss(teacher, weights, 0.0).loss(student, *batch_of_one())
    ours, theirs = outputs(student, teacher)
    with torch.no_grad():
        p = teacher.unit_logits(theirs[-1]).softmax(-1)
        q = student.unit_logits(ours[-1]).softmax(-1)
    by_hand = (p * (p / q).log()).sum(-1).mean()
    assert loss.total.item() == pytest.approx(2 * by_hand.item(), rel=1e-4)


def test_the_distance_of_states_is_the_sum_of_mean_squares_times_its_weight():
    student, teacher = two_models()
    weights = LossWeights(units=0, states=3, logits=0)
    loss = student_loss(teacher, weights, 0.0).loss(student, *batch_of_one())
    ours, theirs = outputs(student, teacher)
    by_hand = sum(((a - b) ** 2).mean().item() for a, b in zip(ours, theirs, strict=True))
    assert loss.total.item() == pytest.approx(3 * by_hand, rel=1e-5)
    assert loss.parts["state_distance"].item() == pytest.approx(by_hand, rel=1e-5)


def test_the_loss_of_units_is_neither_needed_nor_computed_without_a_weight(monkeypatch):
    student, teacher = two_models()
    wave, mask, _ = batch_of_one()
    monkeypatch.setattr("earbit.quantize.train.unit_loss", None)
    for weights, part in ((STATES_ALONE, "state_distance"), (LOGITS_ALONE, "logit_divergence")):
        objective = student_loss(teacher, weights, 1.0)
        assert not objective.needs_units
        assert set(objective.loss(student, wave, mask, None).parts) == {part}
    assert student_loss(teacher, UNITS_ALONE, 1.0).needs_units


def test_weights_of_what_does_not_exist_are_refused():
    with_head, without = (
        random_model(MODEL, 0),
        random_model(dataclasses.replace(MODEL, n_units=None), 0),
    )
    check_weights(STATES_ALONE, without, has_units=False)
    check_weights(LOGITS_ALONE, with_head, has_units=False)
    check_weights(LossWeights(), with_head, has_units=True)
    with pytest.raises(ConfigError, match=r"weights.units=1 .*no units; set weights.units=0, or"):
        check_weights(UNITS_ALONE, with_head, has_units=False)
    for weights, name in ((UNITS_ALONE, "units"), (LOGITS_ALONE, "logits")):
        with pytest.raises(ConfigError, match=f"weights.{name}=1 .*no unit head; set weights"):
            check_weights(weights, without, has_units=True)


@pytest.mark.parametrize("weights", [STATES_ALONE, LOGITS_ALONE], ids=["states", "logits"])
def test_a_teacher_is_left_as_it_was_and_teaches_in_evaluation_mode(weights):
    student, teacher = two_models()
    losses = []
    for is_training in (False, True):
        teacher.train(is_training)
        loss = student_loss(teacher, weights, 0.0).loss(student, *batch_of_one()).total
        assert all(module.training == is_training for module in teacher.modules())
        assert all(p.requires_grad for p in teacher.parameters())
        losses.append(loss.item())
    assert losses[0] == losses[1]
    loss.backward()
    assert all(p.grad is None for p in teacher.parameters())


def skips(weights: LossWeights) -> int:
    """Layers that are not run in twelve passes of a student in training that drops half of them."""
    encoder = dataclasses.replace(MODEL.encoder, layer_drop=0.5)
    student = random_model(dataclasses.replace(MODEL, encoder=encoder), 0).train()
    n_run = []
    for layer in student.encoder.layers:
        layer.register_forward_hook(lambda *_: n_run.append(1))
    objective = student_loss(random_model(MODEL, 1), weights, 0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(12):
            objective.loss(student, *batch_of_one())
    assert student.encoder.layer_drop == 0.5
    return 36 - len(n_run)


def test_no_layer_is_dropped_where_its_state_is_compared():
    assert skips(STATES_ALONE) == 0
    assert skips(LOGITS_ALONE) > 8
    assert skips(UNITS_ALONE) > 8


@pytest.mark.parametrize(
    ("weights", "place"),
    [
        (STATES_ALONE, "encoder.layers.1.feed_forward.output"),
        (LOGITS_ALONE, "head.projection"),
    ],
    ids=["states", "logits"],
)
def test_what_is_not_finite_in_the_teacher_is_blamed_on_it(weights, place):
    student, teacher = two_models()
    torch.nn.init.constant_(teacher.get_submodule(place).bias, float("inf"))
    with pytest.raises(DataError, match=f"the teacher's {place} is the first"):
        student_loss(teacher, weights, 0.0).loss(student, *batch_of_one())


def test_what_is_not_finite_in_the_student_is_not_blamed_on_the_teacher():
    student, teacher = two_models()
    torch.nn.init.constant_(student.encoder.layers[1].feed_forward.output.bias, float("inf"))
    loss = student_loss(teacher, STATES_ALONE, 0.0).loss(student, *batch_of_one())
    assert not bool(loss.total.isfinite())
