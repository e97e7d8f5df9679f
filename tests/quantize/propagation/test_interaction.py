"""Interaction of errors: by hand, and in models in which errors are nearly additive."""

import math

import pytest
import torch

from earbit.encoders.conformer import ConformerConfig
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.leaves import Linear, leaf_modules
from earbit.nn.precision import Precision
from earbit.quantize.plan import Plan
from earbit.quantize.propagation.groups import LAYER_ROLES, Group
from earbit.quantize.propagation.interaction import interaction_of, over_db
from earbit.quantize.propagation.measure import Errors, measure
from earbit.quantize.propagation.subjects import calibrated_twin
from earbit.quantize.selector import Selector
from earbit.quantize.student import noise_clips

PLAN = Plan("w8a8", tuple((Selector(role), Precision(8, 8)) for role in LAYER_ROLES))


def test_small_errors_have_no_interaction_and_their_noise_is_as_large():
    encoder = ConformerConfig(
        n_layers=2, d_model=16, n_heads=2, d_ffn=32, position_kernel=8, conv_kernel=5
    )
    model = random_model(ModelConfig(encoder=encoder, front_end=FrontEndConfig(n_channels=16)), 0)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, leaf in leaf_modules(model).items():
            if isinstance(leaf, Linear) and "layers" in name:
                torch.nn.init.kaiming_uniform_(leaf.weight, a=math.sqrt(5))
    student = calibrated_twin(model, PLAN, noise_clips(1, 2, 9000))
    errors = measure(model, student, noise_clips(2, 3, 48_000))
    found = interaction_of(errors)
    # Errors of 8 bits are so small that the model is linear in them.
    for one in (found.between, found.within, *found.pairs.values()):
        assert abs(one.db) < 0.3
        assert abs(one.noise_db) < 0.3
        assert abs(one.coherence) < 0.06
        assert abs(one.noise_coherence) < 0.06
    layers = Group(LAYER_ROLES)
    pair = errors.noise[layers][-1].log_error, errors.groups[layers][-1].log_error
    assert pair[0] == pytest.approx(pair[1], rel=0.3)
    assert list(found.pairs) == [
        "attention+convolution",
        "attention+feed_forward",
        "convolution+feed_forward",
    ]


class Sums:
    """Stands for the sums of one state, of which the interaction reads the error alone."""

    def __init__(self, log_error: float) -> None:
        self.log_error = log_error


A, B = "attention", "feed_forward"


def last_states(
    a: float, b: float, both: float, alone: list[list[float]]
) -> dict[Group, list[Sums]]:
    """Errors of two roles, of both, and of each in every layer; the input is exact."""
    errors = {Group((A,)): a, Group((B,)): b, Group((A, B)): both}
    for role, values in zip((A, B), alone, strict=True):
        errors |= {Group((role,), layer): value for layer, value in enumerate(values)}
    return {group: [Sums(0.0), Sums(error)] for group, error in errors.items()}


def test_the_interaction_of_independent_noise_is_subtracted_by_hand():
    """Quantization doubles the error of both roles together, noise halves it."""
    errors = Errors(
        groups=last_states(2.0, 2.0, 8.0, [[1.0, 1.0], [1.0, 1.0]]),
        noise=last_states(3.0, 1.0, 2.0, [[1.0, 1.0], [0.25, 0.25]]),
    )
    found = interaction_of(errors)
    once, twice = 10 * math.log10(2), 20 * math.log10(2)
    between = found.between
    assert (between.db, between.noise_db) == (pytest.approx(once), pytest.approx(-once))
    assert between.net_db == pytest.approx(twice)
    assert (found.log_error, found.alone) == (8.0, 4.0)
    # Between: (8 - 4) of 4 pairs of 2; of noise (2 - 4) of 4 pairs of 2 sqrt(1 / 4).
    assert (between.coherence, between.noise_coherence, between.net_coherence) == (0.5, -0.5, 1.0)
    assert found.pairs == {"attention+feed_forward": between}
    # Within: (4 - 4) of 2 pairs of 2; of noise (4 - 2.5) of 2 and 0.5.
    within = found.within
    assert (within.coherence, within.noise_coherence, within.net_coherence) == (0, 0.6, -0.6)
    assert within.noise_db == pytest.approx(10 * math.log10(4 / 2.5))
    assert {role: one.net_coherence for role, one in found.roles.items()} == {A: -0.5, B: -1.0}


@pytest.mark.parametrize(
    ("a", "b", "both", "between", "within"),
    [
        # Parts with errors of 1: amplitudes that add give 2^2 and 3^2, independent ones 2 and 3.
        (4.0, 1.0, 9.0, 1, 1),
        (2.0, 1.0, 3.0, 0, 0),
        # The two of one role cancel half of what they could, and do nothing to the other.
        (1.0, 1.0, 2.0, 0, -0.5),
    ],
)
def test_coherence_by_hand(a, b, both, between, within):
    states = last_states(a, b, both, [[1.0, 1.0], [1.0]])
    found = interaction_of(Errors(groups=states, noise=states))
    assert (found.between.coherence, found.within.coherence) == (between, within)
    assert found.roles[B].coherence is None, "one layer has no pair"


def test_coherence_without_a_signal_is_undefined():
    states = last_states(math.inf, 1.0, math.inf, [[1.0, math.inf], [1.0]])
    found = interaction_of(Errors(groups=states, noise=states))
    for one in (found.between, found.within, found.roles[A]):
        assert one.db is one.coherence is one.net_coherence is None


def test_decibels_over_a_sum_by_hand():
    assert over_db(6.0, [1.0, 2.0]) == pytest.approx(3.0103, abs=1e-4)
    assert over_db(0.0, [1.0]) is over_db(math.inf, [1.0]) is over_db(1.0, [0.0]) is None
