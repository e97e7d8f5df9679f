"""Warnings of a training that does not learn: each once, and none for a healthy one."""

import pytest

from earbit.pretrain.collapse import WINDOW, CollapseWatch

HEALTHY = {"loss": 4.0, "accuracy": 0.2, "commonest_unit": 0.03, "predicted_units": 50.0}


def warnings_of(values, n_steps, warmup_steps=0):
    """Steps and texts of the warnings; values: step -> scalars of that step."""
    watch = CollapseWatch(n_steps, warmup_steps)
    return [
        (step, line) for step in range(1, n_steps + 1) for line in watch.add(step, values(step))
    ]


def healthy(step):
    return HEALTHY | {"loss": 4.0 - 0.001 * step}


def test_a_healthy_training_gets_no_warning():
    assert warnings_of(healthy, 1000, warmup_steps=80) == []


def test_two_hundred_steps_that_end_at_the_commonest_unit_get_a_warning_with_both_shares():
    found = warnings_of(lambda step: healthy(step) | {"accuracy": 0.033}, 200, warmup_steps=40)
    ((step, line),) = found[:1]
    assert step == 200
    assert "accuracy 3.3%" in line
    assert "(3.0%)" in line
    assert "peak_lr" in line


def test_a_long_warm_up_is_waited_for():
    def late(step):
        return healthy(step) | {"accuracy": 0.03 if step < 1900 else 0.2}

    assert warnings_of(late, 4000, warmup_steps=10_000 * 4 // 5) == []
    assert warnings_of(late, 4000, warmup_steps=0)[0][0] == WINDOW


@pytest.mark.parametrize(
    ("change", "step", "named"),
    [
        # From step 501 on: a mean of 140 x 10 and 60 x 50, the first below half of 50.
        ({"predicted_units": 10.0}, 640, "use 22.0 units (perplexity) over 200 steps, before 50.0"),
        # 40 x 8 and 160 x 3.5795, the first above 1.2 x 3.5995.
        ({"loss": 8.0}, 540, "the loss rises: 4.464 over 200 steps"),
    ],
)
def test_what_changes_for_the_worse_is_named_once(change, step, named):
    ((found_at, line),) = warnings_of(
        lambda step: healthy(step) | (change if step > 500 else {}), 1500
    )
    assert found_at == step
    assert named in line


def test_a_loss_that_stays_where_it_was_is_named():
    found = warnings_of(lambda step: HEALTHY, 600)
    assert [(step, "has not fallen: 4.000" in line) for step, line in found] == [(400, True)]


def test_skipped_steps_do_not_count():
    assert warnings_of(lambda step: {"skipped": 1.0, "lr": 0.1}, 500) == []


def test_a_resumed_training_whose_loss_falls_slowly_gets_no_warning():
    watch = CollapseWatch(20_000, 0, start=10_000)
    slow = (healthy(0) | {"loss": 4.0 - 1e-6 * step} for step in range(10_001, 11_001))
    assert [line for step, one in enumerate(slow, 10_001) for line in watch.add(step, one)] == []


def test_a_run_that_is_shorter_than_the_window_is_judged_at_its_end():
    found = warnings_of(lambda step: healthy(step) | {"accuracy": 0.03}, 150)
    assert [step for step, _ in found] == [150]
    assert "accuracy 3.0% over 150 steps" in found[0][1]
    assert warnings_of(lambda step: healthy(step) | {"accuracy": 0.03}, 40) == []
