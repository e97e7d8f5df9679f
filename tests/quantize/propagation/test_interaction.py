"""What kinds do to each other: by hand, and in models in which it is next to nothing."""

import math

import pytest
import torch

from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.transformer import TransformerConfig
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.leaves import Linear, leaves_of
from earbit.nn.precision import Precision
from earbit.quantize.plan import Plan
from earbit.quantize.propagation.coherence import coherence_of
from earbit.quantize.propagation.interaction import compare, interaction_of, over_db
from earbit.quantize.propagation.measure import Errors, measure
from earbit.quantize.propagation.models import calibrated_twin
from earbit.quantize.propagation.parts import LAYERS
from earbit.quantize.selector import Selector
from earbit.quantize.student import noise_clips

SHAPE = {"n_layers": 2, "d_model": 16, "n_heads": 2, "d_ffn": 32, "position_kernel": 8}
PLAN = Plan("w8a8", ((Selector(name="encoder.layers.*"), Precision(8, 8)),))


def measured(encoder, clips):
    model = random_model(ModelConfig(encoder=encoder, front_end=FrontEndConfig(n_channels=16)), 0)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, leaf in leaves_of(model).items():
            if isinstance(leaf, Linear) and "layers" in name:
                torch.nn.init.kaiming_uniform_(leaf.weight, a=math.sqrt(5))
    return measure(model, calibrated_twin(model, PLAN, noise_clips(1, 2, 9000)), clips)


@pytest.fixture(scope="module")
def two():
    """Errors of a mixed stack and of one of attention alone."""
    clips = noise_clips(2, 3, 48_000)
    return (
        measured(ConformerConfig(**SHAPE, conv_kernel=5), clips),
        measured(TransformerConfig(**SHAPE), clips),
    )


def test_kinds_that_add_up_have_no_interaction_and_excess_is_the_sum_of_its_parts(two):
    mixed, plain = two
    ours, theirs = interaction_of(mixed), interaction_of(plain)
    # Errors of 8 bits are so small that the model is linear in them.
    for found in (*ours.between_db, *ours.independent_db, ours.within_db, *ours.pairs_db.values()):
        assert abs(found) < 0.3
    assert abs(ours.coherence.found.everything) < 0.03
    assert abs(ours.coherence.independent.everything) < 0.03
    # The control's noise is about as large as that of quantization.
    pair = (mixed.independent[LAYERS][-1].log_error, mixed.states[LAYERS][-1].log_error)
    assert pair[0] == pytest.approx(pair[1], rel=0.3)
    assert list(ours.pairs_db) == [
        "attention + convolution",
        "attention + feed-forward",
        "convolution + feed-forward",
    ]
    one = compare(ours, theirs, ("a", "b"), (2, 16))
    assert one.excess_db == pytest.approx(one.parts_db + one.within_db + one.between_db)
    assert one.excess_db == pytest.approx(10 * math.log10(ours.log_error / theirs.log_error))


class Sums:
    """Stands for the sums of one state, of which the interaction reads the error alone."""

    def __init__(self, log_error: float) -> None:
        self.log_error = log_error


def states(**errors: list[float]) -> dict[str, list[Sums]]:
    """By what is quantized: the encoder's input, which is exact, and the layers."""
    named = {"pair": "a + b", "layers": LAYERS}
    return {
        named.get(part, part): [Sums(0.0), *map(Sums, of_layers)]
        for part, of_layers in errors.items()
    }


def test_what_independent_noise_does_is_taken_off_by_hand():
    """Quantization doubles what kinds make together, noise halves it."""
    errors = Errors(
        modules=[],
        kinds_in_layers=("a", "b"),
        states=states(a=[1.0, 2.0], b=[1.0, 2.0], pair=[2.0, 8.0], layers=[2.0, 8.0]),
        single={("a", 0): Sums(1.0), ("a", 1): Sums(1.0), ("b", 0): Sums(1.0), ("b", 1): Sums(1.0)},
        independent=states(a=[1.0, 3.0], b=[1.0, 1.0], pair=[1.0, 2.0], layers=[1.0, 2.0]),
        independent_single={
            ("a", 0): Sums(1.0),
            ("a", 1): Sums(1.0),
            ("b", 0): Sums(0.25),
            ("b", 1): Sums(0.25),
        },  # fmt: skip
    )
    found = interaction_of(errors)
    once, twice = 10 * math.log10(2), 20 * math.log10(2)
    assert found.between_db == pytest.approx([0, once])
    assert found.independent_db == pytest.approx([-once, -once])
    assert found.propagation_db == pytest.approx([once, twice])
    assert found.pairs_db == {"a + b": pytest.approx(twice)}
    # Between: (8 - 4) of 4 pairs of 2; of noise (2 - 4) of 4 pairs of 2 sqrt(1 / 4).
    # Within: (4 - 4) of 2 pairs of 2; of noise (4 - 2.5) of 2 and 0.5.
    like = found.coherence
    assert (like.found.between, like.found.within) == (0.5, 0)
    assert (like.independent.between, like.independent.within) == (-0.5, 0.6)
    assert (like.controlled.between, like.controlled.within) == (1.0, -0.6)
    assert like.controlled.pairs == {"a + b": 1.0}
    assert like.controlled.within_kind == {"a": -0.5, "b": -1.0}
    assert like.controlled.everything == like.found.everything - like.independent.everything


def test_the_number_of_a_comparison_is_the_controlled_one(two):
    ours, theirs = map(interaction_of, two)
    one = compare(ours, theirs, ("a", "b"), (2, 16))
    for name in ("between", "within"):
        values = [
            getattr(side.coherence.found, name) - getattr(side.coherence.independent, name)
            for side in (ours, theirs)
        ]
        assert getattr(one, f"coherence_{name}") == pytest.approx(values[0] - values[1])
    assert (one.mixed_coherence, one.attention_only_coherence) == (ours.coherence, theirs.coherence)


def test_coherence_by_hand():
    """Parts with errors of 1: amplitudes that add give 2^2 and 3^2, independent ones 2 and 3."""
    single = {"a": [1.0, 1.0], "b": [1.0]}
    added = coherence_of({"a": 4.0, "b": 1.0, "a + b": 9.0, LAYERS: 9.0}, single)
    assert (added.everything, added.within, added.between) == (1, 1, 1)
    assert (added.within_kind, added.pairs) == ({"a": 1, "b": None}, {"a + b": 1})
    independent = coherence_of({"a": 2.0, "b": 1.0, "a + b": 3.0, LAYERS: 3.0}, single)
    assert (independent.everything, independent.within, independent.between) == (0, 0, 0)
    # The two of a kind cancel half of what they could, and do nothing to the other.
    partly = coherence_of({"a": 1.0, "b": 1.0, "a + b": 2.0, LAYERS: 2.0}, single)
    assert (partly.within, partly.between) == (-0.5, 0)
    assert partly.everything == pytest.approx(-1 / 6)


def test_coherence_of_what_is_lost_is_unknown():
    lost = coherence_of(
        {"a": math.inf, "b": 1.0, "a + b": math.inf, LAYERS: math.inf},
        {"a": [1.0, math.inf], "b": [1.0]},
    )
    assert lost.everything is lost.within is lost.between is lost.pairs["a + b"] is None


def test_decibels_over_a_sum_by_hand():
    assert over_db(6.0, [1.0, 2.0]) == pytest.approx(3.0103, abs=1e-4)
    assert over_db(0.0, [1.0]) is over_db(math.inf, [1.0]) is over_db(1.0, [0.0]) is None
