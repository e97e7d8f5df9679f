from collections import Counter
from itertools import islice

import numpy as np
import torch

from earbit.superb.clip_batches import collate, endless_batches


def batches(n_examples, batch_size, n_batches, weights=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list(islice(endless_batches(n_examples, batch_size, weights, generator), n_batches))


def test_clips_are_padded_with_zeros_behind_their_frames():
    clips = {"a": np.ones((2, 1, 3), np.float32), "b": np.full((2, 4, 3), 2, np.float32)}
    states_LBTD, lengths = collate(clips, ["a", "b"])
    assert states_LBTD.shape == (2, 2, 4, 3)
    assert lengths.tolist() == [1, 4]
    assert states_LBTD[:, 0].sum((0, 2)).tolist() == [6, 0, 0, 0]
    assert states_LBTD[:, 1].sum((0, 2)).tolist() == [12, 12, 12, 12]


def test_every_example_comes_once_per_epoch_though_batches_span_epochs():
    drawn = [i for batch in batches(10, 4, 5) for i in batch]
    assert Counter(drawn[:10]) == Counter(drawn[10:]) == Counter(range(10))
    assert drawn[:10] != drawn[10:]


def test_a_batch_larger_than_the_set_repeats_it():
    (batch,) = batches(3, 9, 1)
    assert Counter(batch) == {0: 3, 1: 3, 2: 3}


def test_weights_decide_how_often_an_example_is_drawn():
    weights = torch.tensor([0.0, 1.0, 3.0])
    counts = Counter(i for batch in batches(3, 100, 40, weights) for i in batch)
    assert counts[0] == 0
    assert 2.6 < counts[2] / counts[1] < 3.4


def test_the_order_follows_from_the_generator_and_leaves_the_global_one_alone():
    before = torch.random.get_rng_state()
    assert batches(10, 4, 5, seed=1) == batches(10, 4, 5, seed=1) != batches(10, 4, 5, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
