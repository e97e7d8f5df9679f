"""What kinds do to each other: by hand, and in models in which it is next to nothing."""

import math

import pytest
import torch

from earbit.encoders.conformer import ConformerConfig
from earbit.encoders.transformer import TransformerConfig
from earbit.model import ModelConfig
from earbit.nn.front_end import FrontEndConfig
from earbit.nn.leaves import Linear
from earbit.nn.precision import Precision
from earbit.quantize.convert import leaves_of
from earbit.quantize.load import noise_clips, random_model
from earbit.quantize.plan import Plan
from earbit.quantize.propagation.interaction import (
    coherence_of,
    compare,
    interaction_of,
    is_mixed,
    over_db,
)
from earbit.quantize.propagation.measure import measure
from earbit.quantize.propagation.models import calibrated_twin
from earbit.quantize.propagation.parts import LAYERS

SHAPE = {"n_layers": 2, "d_model": 16, "n_heads": 2, "d_ffn": 32, "position_kernel": 8}
PLAN = Plan("w8a8", (("encoder.layers.*", Precision(8, 8)),))


def measured(encoder, clips):
    model = random_model(ModelConfig(encoder=encoder, front_end=FrontEndConfig(n_channels=16)), 0)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, leaf in leaves_of(model).items():
            if isinstance(leaf, Linear) and "layers" in name:
                torch.nn.init.kaiming_uniform_(leaf.weight, a=math.sqrt(5))
    return measure(model, calibrated_twin(model, PLAN, noise_clips(1, 2, 9000)), clips)


def test_kinds_that_add_up_have_no_interaction_and_excess_is_the_sum_of_its_parts():
    clips = noise_clips(2, 3, 48_000)
    mixed = measured(ConformerConfig(**SHAPE, conv_kernel=5), clips)
    plain = measured(TransformerConfig(**SHAPE), clips)
    assert (is_mixed(mixed), is_mixed(plain)) == (True, False)
    ours, theirs = interaction_of(mixed), interaction_of(plain)
    # Errors of 8 bits are so small that the model is linear in them.
    for found in (*ours.between_db, *ours.independent_db, ours.within_db, *ours.pairs_db.values()):
        assert abs(found) < 0.3
    assert abs(ours.coherence.everything) < 0.03
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
