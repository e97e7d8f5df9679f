import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse import CutSet, MonoCut

from earbit.audio.batches import collate, epoch_batches
from earbit.errors import ConfigError

durations = st.lists(st.floats(0.025, 40.0), min_size=1, max_size=60)


def cut_set(durations_s):
    return CutSet.from_cuts(
        MonoCut(id=f"c{i}", start=0.0, duration=round(d, 4), channel=0, custom={"keyword": "x"})
        for i, d in enumerate(durations_s)
    )


def padded_s(batch, cuts):
    by_id = {cut.id: cut.duration for cut in cuts}
    return len(batch) * max(by_id[i] for i in batch)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(durations, st.floats(0.1, 100.0), st.integers(0, 9), st.integers(0, 9))
def test_every_cut_is_used_once_and_no_batch_is_too_long(durations_s, max_s, seed, epoch):
    cuts = cut_set(durations_s)
    batches = epoch_batches(cuts, max_duration_s=max_s, seed=seed, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == sorted(cut.id for cut in cuts)
    assert all(len(b) == 1 or padded_s(b, cuts) <= max_s + 1e-6 for b in batches)


def test_an_epoch_depends_on_its_arguments_alone():
    durations_s = np.random.default_rng(0).uniform(1, 15, 200)
    cuts = cut_set(durations_s)
    settings_ = {"max_duration_s": 60.0, "seed": 1, "epoch": 2}
    random.seed(0)
    torch.manual_seed(0)
    first = epoch_batches(cuts, **settings_)
    random.seed(99)
    torch.manual_seed(99)
    state = random.getstate()
    reordered = CutSet.from_cuts(list(cuts)[::-1])
    assert epoch_batches(cuts, **settings_) == first
    assert epoch_batches(reordered, **settings_) == first
    assert random.getstate() == state


def test_seeds_and_epochs_give_other_batches():
    cuts = cut_set(np.random.default_rng(0).uniform(1, 15, 200))
    runs = [
        epoch_batches(cuts, max_duration_s=60.0, seed=seed, epoch=epoch)
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    compositions = [{frozenset(batch) for batch in run} for run in runs]
    assert compositions[0] != compositions[1] != compositions[2] != compositions[0]


def test_batches_hold_cuts_of_like_lengths():
    cuts = cut_set(np.random.default_rng(0).uniform(1, 15, 500))
    batches = epoch_batches(cuts, max_duration_s=100.0, seed=0, epoch=0)
    total_s = sum(padded_s(batch, cuts) for batch in batches)
    # Batches in random order would carry about 1.8 times the audio.
    assert total_s < 1.2 * sum(cut.duration for cut in cuts)


def test_one_long_cut_does_not_break_up_the_others():
    cuts = cut_set([1.0] * 100 + [600.0])
    batches = epoch_batches(cuts, max_duration_s=20.0, seed=0, epoch=0)
    assert sorted(len(batch) for batch in batches) == [1] + [20] * 5


def test_the_cuts_are_left_as_they_are():
    cuts = cut_set([1.0, 2.0, 3.0])
    epoch_batches(cuts, max_duration_s=4.0, seed=0, epoch=0)
    assert all(cut.custom == {"keyword": "x"} for cut in cuts)


@pytest.mark.filterwarnings("error")
def test_no_warning_of_a_library_reaches_the_user():
    epoch_batches(cut_set([1.0, 50.0]), max_duration_s=2.0, seed=0, epoch=0)


@pytest.mark.parametrize(
    ("durations_s", "settings_", "message"),
    [
        ([], {"max_duration_s": 1.0}, "0 cuts"),
        ([1.0], {"max_duration_s": 0.0}, "0.0 s"),
    ],
)
def test_what_cannot_be_batched_is_a_config_error(durations_s, settings_, message):
    with pytest.raises(ConfigError, match=message):
        epoch_batches(cut_set(durations_s), seed=0, epoch=0, **settings_)


def ramp(start, n_samples):
    return np.arange(start, start + n_samples, dtype=np.float32)


def test_rows_are_crops_at_the_places_that_are_told():
    waveforms = {"a": ramp(0, 500), "b": ramp(1_000, 900), "c": ramp(5_000, 450)}
    generator = torch.Generator().manual_seed(0)
    batch = collate(("a", "b", "c"), waveforms, crop_samples=480, generator=generator)
    assert batch.ids == ("a", "b", "c")
    assert batch.waveforms.shape == (3, 450)
    assert batch.waveforms.dtype == torch.float32
    for row, name, start in zip(batch.waveforms, batch.ids, batch.starts, strict=True):
        np.testing.assert_array_equal(row.numpy(), waveforms[name][start : start + 450])


def test_every_crop_can_be_drawn_and_comes_from_the_generator():
    waveforms = {"a": ramp(0, 403)}

    def start(seed):
        generator = torch.Generator().manual_seed(seed)
        batch = collate(("a",), waveforms, crop_samples=400, generator=generator)
        return batch.starts[0]

    assert {start(seed) for seed in range(60)} == {0, 1, 2, 3}
    torch.manual_seed(1)
    first = [start(seed) for seed in range(20)]
    torch.manual_seed(2)
    assert [start(seed) for seed in range(20)] == first


def test_a_crop_longer_than_all_takes_the_shortest_whole():
    waveforms = {"a": ramp(0, 400), "b": ramp(0, 410)}
    generator = torch.Generator().manual_seed(0)
    batch = collate(("a", "b"), waveforms, crop_samples=10_000, generator=generator)
    assert batch.waveforms.shape == (2, 400)
    np.testing.assert_array_equal(batch.waveforms[0].numpy(), waveforms["a"])
