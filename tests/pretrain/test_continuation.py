"""More steps: a run goes on exactly where its learning rates so far stay the same, else refuses."""

import pytest

from earbit.errors import ConfigError
from earbit.pretrain.continuation import continued, why_not_continued
from earbit.pretrain.optimiser import OptimiserConfig, lr_at

CONSTANT = {"peak_lr": 1e-3, "n_steps": 100, "warmup_steps": 10, "decay_steps": 0}
DECAYING = CONSTANT | {"decay_steps": None}


def described(schedule: dict) -> dict:
    return {"recipe": {"train": {"optimiser": schedule, "seed": 1}}, "corpus": "abc"}


def test_a_constant_phase_holds_the_peak_and_the_decay_ends_at_zero():
    config = OptimiserConfig(peak_lr=1.0, n_steps=10, warmup_steps=2, decay_steps=4)
    rates = [lr_at(step, config) for step in range(1, 11)]
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


@pytest.mark.parametrize("decay", [-1, 91])
def test_a_decay_longer_than_the_steps_after_the_warm_up_is_refused(decay):
    with pytest.raises(ConfigError, match=f"decay_steps={decay}; allowed: 0 to .* = 90"):
        OptimiserConfig(**CONSTANT | {"decay_steps": decay})


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        (CONSTANT, CONSTANT | {"n_steps": 200}, 100),
        (CONSTANT, CONSTANT | {"n_steps": 130, "decay_steps": 30}, 100),
        (DECAYING, DECAYING | {"n_steps": 200}, 10),  # still in its warm-up
        (CONSTANT | {"decay_steps": 40}, CONSTANT | {"decay_steps": 50}, 50),
    ],
)
def test_another_schedule_with_the_same_rates_so_far_is_taken(old, new, step):
    assert continued(described(old), described(new), step) == described(new)


@pytest.mark.parametrize(
    ("old", "new", "step", "named"),
    [
        (DECAYING, DECAYING | {"n_steps": 200}, 100, "step 11 had the learning rate 0.0009889"),
        (DECAYING, DECAYING | {"n_steps": 200}, 11, "decay_steps=0"),
        (CONSTANT, CONSTANT | {"n_steps": 200, "warmup_steps": 20}, 100, "step 1 had"),
        (CONSTANT, CONSTANT | {"n_steps": 90}, 100, "100 steps are done already"),
        (CONSTANT, CONSTANT | {"peak_lr": 2e-3}, 1, "step 1 had the learning rate 0.0001"),
    ],
)
def test_another_schedule_with_other_rates_is_not_taken_and_says_why(old, new, step, named):
    assert continued(described(old), described(new), step) == described(old)
    assert named in why_not_continued(described(old), described(new), step)


def test_other_differences_stay():
    now = described(CONSTANT | {"n_steps": 200}) | {"corpus": "other"}
    assert continued(described(CONSTANT), now, 100)["corpus"] == "abc"
