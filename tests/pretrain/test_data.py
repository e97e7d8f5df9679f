"""Micro-batches: crops, masks and targets that follow from the seed and the number alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from earbit.audio.clips import Clip, ClipTable, reading_from
from earbit.errors import DataError
from earbit.pretrain.checkpoint import Position
from earbit.pretrain.data import micro_batch, updates_of
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.units.labelled import TrainingData
from earbit.units.labels import LabelHeader, UnitLabels

CONFIG = TrainConfig(
    optimiser=OptimiserConfig(peak_lr=1e-3, n_steps=8, warmup_steps=2), batch_s=2.0, crop_s=1.0
)
SIZES = {"a": 15_000, "b": 16_900, "c": 12_000, "d": 20_000, "e": 13_000, "f": 14_500, "g": 9000}


def ramp(name, n_samples):
    return np.arange(n_samples, dtype=np.float32) + 1e5 * ord(name)


def table(sizes):
    return ClipTable(Clip(name, Path(), n) for name, n in sizes.items())


def training_data(sizes=SIZES):
    waveforms = {name: ramp(name, n) for name, n in sizes.items()}
    rows = {name: np.arange(n // 320, dtype=np.int32) for name, n in sizes.items()}
    labels = UnitLabels(LabelHeader("mfcc", None, 50.0, 100, "k", "c"), rows)
    return TrainingData(table(sizes), table(sizes), reading_from(waveforms), "c", labels)


def batch_of(data, rows, number=1, config=CONFIG):
    return micro_batch(data, config, rows, number, needs_units=True)


def test_rows_are_crops_at_the_places_that_are_told_with_the_units_of_these_places():
    batch = batch_of(training_data(), [0, 1, 3])
    assert batch.ids == ("a", "b", "d")
    assert batch.waveforms.shape == (3, 15_000)
    assert batch.waveforms.dtype == torch.float32
    rows = zip(batch.ids, batch.waveforms, batch.starts, batch.targets_BT, strict=True)
    for name, row, start, units in rows:
        np.testing.assert_array_equal(row, ramp(name, SIZES[name])[start : start + 15_000])
        first = round(start / 320)
        last = SIZES[name] // 320 - 1
        np.testing.assert_array_equal(units, np.minimum(first + np.arange(46), last))


def test_every_crop_can_be_drawn_and_the_number_alone_determines_it():
    data = training_data({"a": 4_003})
    config = dataclasses.replace(CONFIG, crop_s=4_000 / 16_000)
    starts = {batch_of(data, [0], n, config).starts[0] for n in range(60)}
    assert starts == {0, 1, 2, 3}
    torch.manual_seed(1)
    first = batch_of(data, [0], 5, config)
    torch.manual_seed(2)
    again = batch_of(data, [0], 5, config)
    assert first.starts == again.starts
    assert torch.equal(first.mask_BT, again.mask_BT)


def test_a_clip_that_cannot_be_decoded_is_listed_and_changes_no_other_row():
    data = training_data()
    whole = batch_of(data, [0, 1, 3])

    def read(clip, *crop):
        if clip.id == "b":
            raise DataError("b.wav: damaged")
        return data.read(clip, *crop)

    damaged = batch_of(dataclasses.replace(data, read=read), [0, 1, 3])
    assert damaged.ids == ("a", "d")
    assert damaged.unreadable == (("b", "b.wav: damaged"),)
    assert torch.equal(damaged.waveforms, whole.waveforms[[0, 2]])
    assert torch.equal(damaged.mask_BT, whole.mask_BT[[0, 2]])
    assert torch.equal(damaged.targets_BT, whole.targets_BT[[0, 2]])


def first_updates(n, **options):
    updates = updates_of(
        training_data(),
        CONFIG,
        options.pop("position", Position(0, 0, 0)),
        needs_units=True,
        **options,
    )
    return [next(updates) for _ in range(n)]


def said(batches):
    return [(b.number, b.ids, b.starts, b.mask_BT.tolist()) for b in batches]


@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_ranks_share_out_the_micro_batches_of_an_update(n_ranks):
    whole = first_updates(6, n_micro=4)
    parts = [first_updates(6, n_micro=4, rank=r, n_ranks=n_ranks) for r in range(n_ranks)]
    for update, (position, batches) in enumerate(whole):
        assert all(part[update][0] == position for part in parts)
        together = [b for part in parts for b in part[update][1]]
        assert said(sorted(together, key=lambda b: b.number)) == said(batches)


def test_an_epoch_uses_every_clip_once_also_where_updates_span_its_end():
    batches = [b for _, update in first_updates(30, n_micro=3) for b in update]
    ids = [name for b in batches for name in b.ids]
    for epoch in range(3):
        assert sorted(ids[7 * epoch : 7 * epoch + 7]) == sorted(SIZES)


def test_updates_go_on_after_any_position():
    whole = first_updates(12, n_micro=3)
    for i in (0, 4, 10):
        (after, batches), *_ = first_updates(1, n_micro=3, position=whole[i][0])
        assert after == whole[i + 1][0]
        assert said(batches) == said(whole[i + 1][1])


def test_another_seed_gives_other_crops_and_masks():
    """torch's generators for CPUs use 32 bits of a seed."""
    data = training_data({"a": 16_000 * 3})
    config = dataclasses.replace(CONFIG, crop_s=1.0)
    batches = [
        batch_of(data, [0], 5, dataclasses.replace(config, seed=seed)) for seed in (0, 1337, 4242)
    ]
    assert len({batch.starts for batch in batches}) == 3
    assert not torch.equal(batches[0].mask_BT, batches[1].mask_BT)
