from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

from earbit.upstream.batches import collate, crop_starts, endless_batches


def test_clips_are_padded_with_zeros_behind_their_frames():
    clips = {"a": np.ones((2, 1, 3), np.float32), "b": np.full((2, 4, 3), 2, np.float32)}
    states_LBTD, lengths = collate(clips, ["a", "b"])
    assert states_LBTD.shape == (2, 2, 4, 3)
    assert lengths.tolist() == [1, 4]
    assert states_LBTD[:, 0].sum((0, 2)).tolist() == [6, 0, 0, 0]
    assert states_LBTD[:, 1].sum((0, 2)).tolist() == [12, 12, 12, 12]


@pytest.mark.parametrize(
    ("n_frames", "starts", "most"), [(30, set(range(21)), 10), (10, {0}, 10), (4, {0}, 10)]
)
def test_crops_begin_anywhere_where_they_fit(n_frames, starts, most):
    clips = {"a": np.zeros((1, n_frames, 1), np.float32)}
    rng = np.random.default_rng(0)
    drawn = {crop_starts(clips, ["a"], most, rng)[0] for _ in range(500)}
    assert drawn == starts


def batches(targets, batch_size, n_batches, is_balanced=False, seed=0):
    drawn = endless_batches(targets, batch_size, is_balanced=is_balanced, seed=seed)
    return list(islice(drawn, n_batches))


def test_every_clip_comes_once_per_epoch_though_batches_span_epochs():
    drawn = [i for batch in batches("a" * 10, 4, 5) for i in batch]
    assert Counter(drawn[:10]) == Counter(drawn[10:]) == Counter(range(10))
    assert drawn[:10] != drawn[10:]


def test_a_batch_larger_than_the_set_repeats_it():
    (batch,) = batches("abc", 9, 1)
    assert Counter(batch) == {0: 3, 1: 3, 2: 3}


def test_balanced_every_target_is_drawn_equally_often():
    targets = "a" * 9 + "b"
    drawn = Counter(targets[i] for b in batches(targets, 100, 40, is_balanced=True) for i in b)
    assert drawn["a"] + drawn["b"] == 4000
    assert 0.9 < drawn["a"] / drawn["b"] < 1.1


def test_the_order_follows_from_the_seed_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    one, again, other = (batches("a" * 10, 4, 5, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert torch.equal(torch.random.get_rng_state(), before)
