"""Penalties of judges and of groups: zero for the float model, and more for a coarser one."""

import numpy as np
import pytest
import torch

from earbit.choose.groups import groups_of
from earbit.choose.judges import MAX_ERROR, StateDistance
from earbit.choose.sensitivity import measure_penalties
from earbit.load import random_model
from earbit.nn.precision import W1A1, Precision
from earbit.quantize.calibrate import WITHOUT_TRAINING
from earbit.quantize.plan import plan_named
from earbit.quantize.student import student_of

W8A8, W4A4, W2A2 = Precision(8, 8), Precision(4, 4), Precision(2, 2)


def clips(n=2, seed=0):
    random = np.random.default_rng(seed)
    return [(0.1 * random.standard_normal(8000)).astype(np.float32) for _ in range(n)]


def test_the_float_model_has_no_penalty(small_model):
    assert StateDistance(small_model, clips())(small_model) == 0.0


def test_the_state_distance_of_a_known_noise_is_its_noise_to_signal_ratio(small_model):
    judge = StateDistance(small_model, clips())
    powers = [torch.cat(states).pow(2).sum() for states in zip(*judge.expected, strict=True)]
    random = torch.Generator().manual_seed(0)

    class Noisy(torch.nn.Module):
        """The float model with noise of 1 % of the power of each state without its mean."""

        def forward(self, wave):
            output = small_model(wave)
            states = []
            for state in output.states:
                centred = state - state.mean(dim=(0, 1))
                noise = torch.randn(state.shape, generator=random)
                states.append(state + 0.1 * centred.std() * noise)
            return output._replace(states=states) if hasattr(output, "_replace") else Of(states)

    class Of:
        def __init__(self, states):
            self.states = states

    assert len(powers) == 3
    assert judge(Noisy()) == pytest.approx(0.01, rel=0.15)


def test_an_unrelated_model_has_the_largest_penalty(small_model):
    other = random_model(small_model.config, 7).eval()
    penalty = StateDistance(small_model, clips())(other)
    assert 1.0 < penalty <= MAX_ERROR


def test_fewer_bits_have_a_greater_penalty_and_the_teacher_stays_as_it_was(small_model):
    groups = [group for group in groups_of(small_model) if group.selector.role == "feed_forward"]
    before = {name: t.clone() for name, t in small_model.state_dict().items()}
    done, saved = {}, []
    pairs = [(group, p) for p in (W8A8, W4A4, W2A2, W1A1) for group in groups]
    judge = StateDistance(small_model, clips())
    measure_penalties(
        small_model, pairs, clips(seed=1), judge, done, lambda: saved.append(len(done))
    )
    for group in groups:
        its = done[str(group)]
        assert 0 < its["w8a8"] < its["w4a4"] < its["w2a2"] < MAX_ERROR, its
        assert its["w8a8"] < 0.1 * its["w1a1"]
    assert len(saved) == len(pairs)
    after = small_model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert judge(small_model) == 0.0


def test_the_penalty_of_a_group_is_that_of_a_model_with_this_group_quantized(small_model, tmp_path):
    (group,) = (g for g in groups_of(small_model) if str(g) == "feed_forward layers=1")
    judge, audio, done = StateDistance(small_model, clips()), clips(seed=1), {}
    measure_penalties(small_model, [(group, W4A4)], audio, judge, done, lambda: None)
    (tmp_path / "one.json").write_text('{"feed_forward layers=1": "w4a4"}')
    plan = plan_named(str(tmp_path / "one.json"))
    student = student_of(small_model, plan, audio, WITHOUT_TRAINING).eval()
    # Only the second of its two layers is calibrated on another input.
    assert done[str(group)]["w4a4"] == pytest.approx(judge(student), rel=0.1)


def test_what_is_measured_already_is_not_measured_again(small_model):
    (group,) = (g for g in groups_of(small_model) if str(g) == "position")
    done = {"position": {"w8a8": 0.125}}

    def refuse(_):
        raise AssertionError

    refuse.title = "nothing"
    measure_penalties(small_model, [(group, W8A8)], clips(), refuse, done, lambda: None)
    assert done == {"position": {"w8a8": 0.125}}
