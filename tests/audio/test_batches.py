import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earbit.audio.batches import epoch_batches
from earbit.audio.clips import Clip, ClipTable
from earbit.errors import ConfigError

durations = st.lists(st.floats(0.025, 40.0), min_size=1, max_size=60)


def table(durations_s, order=1):
    clips = [Clip(f"c{i:03d}", Path(), round(16_000 * d)) for i, d in enumerate(durations_s)]
    return ClipTable(clips[::order])


def padded_s(batch, clips):
    return len(batch) * clips.n_samples[batch].max() / 16_000


def batches_of(clips, **settings_):
    return [batch.tolist() for batch in epoch_batches(clips, **settings_)]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(durations, st.floats(0.1, 100.0), st.integers(0, 9), st.integers(0, 9))
def test_every_clip_is_used_once_and_no_batch_is_too_long(durations_s, max_s, seed, epoch):
    clips = table(durations_s)
    batches = batches_of(clips, max_duration_s=max_s, seed=seed, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(clips)))
    assert all(len(b) == 1 or padded_s(b, clips) <= max_s + 1e-6 for b in batches)


def test_an_epoch_depends_on_its_arguments_alone():
    durations_s = np.random.default_rng(0).uniform(1, 15, 200)
    clips = table(durations_s)
    settings_ = {"max_duration_s": 60.0, "seed": 1, "epoch": 2}
    random.seed(0)
    torch.manual_seed(0)
    first = batches_of(clips, **settings_)
    random.seed(99)
    torch.manual_seed(99)
    state = random.getstate()
    reordered = table(durations_s, order=-1)
    assert batches_of(clips, **settings_) == first
    assert batches_of(reordered, **settings_) == first
    assert random.getstate() == state


def test_seeds_and_epochs_give_other_batches():
    clips = table(np.random.default_rng(0).uniform(1, 15, 200))
    runs = [
        batches_of(clips, max_duration_s=60.0, seed=seed, epoch=epoch)
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    compositions = [{frozenset(batch) for batch in run} for run in runs]
    assert compositions[0] != compositions[1] != compositions[2] != compositions[0]


def test_batches_hold_clips_of_like_lengths():
    clips = table(np.random.default_rng(0).uniform(1, 15, 500))
    batches = batches_of(clips, max_duration_s=100.0, seed=0, epoch=0)
    total_s = sum(padded_s(batch, clips) for batch in batches)
    # Batches in random order would carry about 1.8 times the audio.
    assert total_s < 1.2 * clips.duration_s


def test_a_clip_counts_as_long_as_it_is_cropped():
    clips = table([1.0] * 12 + [9.0] * 12)
    batches = batches_of(clips, max_duration_s=6.0, crop_s=2.0, seed=0, epoch=0)
    assert sorted(len(batch) for batch in batches) == [3] * 4 + [6] * 2


@pytest.mark.parametrize(("batch_s", "least"), [(36.5, 0.77), (87.5, 0.86)])
def test_micro_batches_hold_nearly_the_seconds_that_they_are_set_to(batch_s, least):
    # Lengths like those of LibriSpeech: most from 12 to 16 s.  Two rows of 15.6 s are 86 % of 36.5.
    draw = np.random.default_rng(0)
    durations_s = np.r_[draw.triangular(10, 15.5, 16.7, 5000), draw.uniform(1.4, 12, 2000)]
    clips = table(durations_s)
    batches = batches_of(clips, max_duration_s=batch_s, crop_s=15.625, seed=0, epoch=0)
    found_s = [len(b) * min(15.625, clips.n_samples[b].min() / 16_000) for b in batches]
    assert max(found_s) <= batch_s
    assert np.mean(found_s) > least * batch_s


def test_one_long_clip_does_not_break_up_the_others():
    clips = table([1.0] * 100 + [600.0])
    batches = batches_of(clips, max_duration_s=20.0, seed=0, epoch=0)
    assert sorted(len(batch) for batch in batches) == [1] + [20] * 5


@pytest.mark.filterwarnings("error")
def test_no_warning_of_a_library_reaches_the_user():
    batches_of(table([1.0, 50.0]), max_duration_s=2.0, seed=0, epoch=0)


@pytest.mark.parametrize(
    ("durations_s", "settings_", "message"),
    [
        ([], {"max_duration_s": 1.0}, "0 clips"),
        ([1.0], {"max_duration_s": 0.0}, "0.0 s"),
    ],
)
def test_what_cannot_be_batched_is_a_config_error(durations_s, settings_, message):
    with pytest.raises(ConfigError, match=message):
        batches_of(table(durations_s), seed=0, epoch=0, **settings_)
