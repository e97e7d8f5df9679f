from dataclasses import replace

import pytest
import torch

from earbit.errors import ConfigError
from earbit.superb.heads import MeanPoolLinear
from earbit.superb.ks import KS
from earbit.superb.task import FitRequest
from earbit.superb.training import predict_all, train_head


@pytest.fixture
def request_(toy):
    splits = toy.splits()
    return FitRequest(
        task=KS,
        features=toy.separable(splits),
        splits=splits,
        outputs=KS.outputs(splits.train),
        lr=1e-2,
        n_steps=60,
        batch_size=12,
        seed=0,
    )


def tensors(fitted):
    return {name: t.clone() for name, t in fitted.head.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_separable_problem_is_learned_completely(request_):
    fitted = train_head(request_)
    predictions = predict_all(
        KS, fitted.head, request_.outputs, request_.features, request_.splits.test
    )
    assert predictions == [e.target for e in request_.splits.test]
    assert fitted.point.value == 1.0
    assert fitted.point.n_skipped == 0


def test_the_informative_state_gets_the_largest_weight(request_):
    shares = train_head(replace(request_, n_steps=200)).head.layers.shares()
    assert shares.index(max(shares)) == 1


def test_the_seed_decides_everything_and_the_global_generator_stays(request_):
    before = torch.random.get_rng_state()
    one = tensors(train_head(request_))
    torch.manual_seed(99)
    assert same(one, tensors(train_head(request_)))
    assert not same(one, tensors(train_head(replace(request_, seed=1))))
    torch.random.set_rng_state(before)
    train_head(request_)
    assert torch.equal(torch.random.get_rng_state(), before)


def scripted(values):
    """Keyword spotting whose validation metric is a script, one value per check."""
    script = iter(values)
    defaults = replace(KS.defaults, n_checks=len(values))
    return replace(
        KS, score=lambda predictions, examples: {"accuracy": next(script)}, defaults=defaults
    )


@pytest.mark.parametrize(
    ("values", "best_step", "best"),
    [
        ([0.1, 0.9, 0.5, 0.2], 2, 0.9),
        ([0.1, 0.9, 0.9, 0.9], 2, 0.9),
        ([float("nan"), 0.3, float("nan"), 0.2], 2, 0.3),
        ([0.4, 0.5, 0.6, 0.7], 4, 0.7),
    ],
)
def test_the_head_is_that_of_the_first_best_check(request_, values, best_step, best):
    whole = train_head(replace(request_, task=scripted(values), n_steps=4))
    assert (whole.point.step, whole.point.value) == (best_step, best)
    until_then = train_head(replace(request_, task=scripted([1.0]), n_steps=best_step))
    assert same(tensors(whole), tensors(until_then))


def test_a_metric_where_less_is_better_picks_the_least(request_):
    task = replace(scripted([0.3, 0.1, 0.2]), higher_is_better=False)
    assert train_head(replace(request_, task=task, n_steps=3)).point.value == 0.1


def test_updates_with_a_gradient_that_is_not_finite_are_left_out_and_counted(request_):
    steps = iter(range(100))

    def sometimes_nan(outputs, lengths, targets):
        factor = {1: float("nan"), 3: float("inf")}.get(next(steps), 1.0)
        return KS.loss(outputs, lengths, targets) * factor

    task = replace(scripted([0.1, 0.2, 0.3, 0.4, 0.5]), loss=sometimes_nan)
    fitted = train_head(replace(request_, task=task, n_steps=5))
    assert fitted.point.n_skipped == 2
    assert all(bool(t.isfinite().all()) for t in tensors(fitted).values())


def test_predictions_come_in_the_order_of_the_examples_whatever_their_lengths(request_):
    fitted = train_head(request_)
    examples = request_.splits.test
    at_once = predict_all(KS, fitted.head, request_.outputs, request_.features, examples, 4)
    alone = [
        predict_all(KS, fitted.head, request_.outputs, request_.features, [e])[0] for e in examples
    ]
    assert at_once == alone
    assert len(set(at_once)) == 3


def test_outputs_per_frame_reach_decode_without_padding(request_, toy):
    class FrameHead(MeanPoolLinear):
        def forward(self, states_LBTD, lengths):
            return self.output(self.projection(self.layers(states_LBTD)))

    task = replace(KS, head=FrameHead, decode=lambda outputs_TC, names: tuple(outputs_TC.shape))
    head = FrameHead(train_head(request_).head.shape)
    clips = request_.features.clips
    got = predict_all(task, head, request_.outputs, request_.features, request_.splits.test)
    assert got == [(clips[e.id].shape[1], 3) for e in request_.splits.test]


@pytest.mark.parametrize("missing", ["loss", "encode"])
def test_a_task_that_cannot_be_trained_says_so(request_, missing):
    with pytest.raises(ConfigError, match="task ks has no encode, loss or lr"):
        train_head(replace(request_, task=replace(KS, **{missing: None})))
