"""Micro-batches of a training: crops, masks and unit targets, each a function of seed and number.

The micro-batches of an update follow from the seed and the update alone.  Ranks and accumulation
share them out, so N ranks see what one rank with N times the accumulation sees.
Letters: B batch, N samples, T frames.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earbit.audio.augment import augmented
from earbit.audio.batches import epoch_batches
from earbit.audio.clips import Clip, ClipTable
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.workers import made_ahead
from earbit.errors import DataError
from earbit.frames import n_frames_of
from earbit.nn.seeds import DATA, step_seed
from earbit.pretrain.checkpoint import Position
from earbit.pretrain.masking import batch_mask
from earbit.pretrain.train_config import TrainConfig
from earbit.units.labelled import TrainingData


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Crops of clips with equal lengths, their masks and targets."""

    number: int
    """Number in the run, counted from 1; seeds everything random."""
    ids: tuple[str, ...]
    waveforms: Tensor
    """Float32 (B, N)."""
    starts: tuple[int, ...]
    """Start of every row within its clip, in samples."""
    mask_BT: Tensor
    """Bool; True where a frame is masked."""
    targets_BT: Tensor | None
    """Int64 units of all frames; None for an objective without units."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Id and reason of each clip that could not be decoded, which the batch lacks."""

    @property
    def n_masked(self) -> int:
        """Number of masked frames."""
        return int(self.mask_BT.sum())


def updates_of(
    data: TrainingData,
    config: TrainConfig,
    position: Position,
    *,
    n_micro: int,
    rank: int = 0,
    n_ranks: int = 1,
    needs_units: bool,
    n_workers: int = 0,
) -> Iterator[tuple[Position, list[MicroBatch]]]:
    """Endless updates from `position` on, with the micro-batches of one rank.

    n_micro: number of micro-batches of an update, over all ranks.  Number i of an update belongs to
    rank i modulo `n_ranks`.  n_workers: processes that make micro-batches ahead, which changes no
    micro-batch; close the iterator to end them.
    """
    ahead, updates = itertools.tee(_update_rows(data.train, config, position, n_micro))
    own = range(rank, n_micro, n_ranks)
    specs = ((rows[i], (after.step - 1) * n_micro + 1 + i) for after, rows in ahead for i in own)

    def make(spec: tuple[NDArray[np.int64], int]) -> _PlainBatch:
        return _plain(micro_batch(data, config, *spec, needs_units=needs_units))

    with contextlib.closing(made_ahead(make, specs, n_workers)) as made:
        for after, _ in updates:
            yield after, [_batch(next(made)) for _ in own]


def _update_rows(
    clips: ClipTable, config: TrainConfig, position: Position, n_micro: int
) -> Iterator[tuple[Position, list[NDArray[np.int64]]]]:
    """Position after each update, and the rows of all its micro-batches."""
    step, epoch, done = position.step, position.epoch, position.batches_done
    waiting: list[NDArray[np.int64]] = []
    while True:
        for rows in itertools.islice(epoch_rows(clips, config, epoch), done, None):
            done += 1
            waiting.append(rows)
            if len(waiting) == n_micro:
                step += 1
                yield Position(step, epoch, done), waiting
                waiting = []
        epoch, done = epoch + 1, 0


def epoch_rows(clips: ClipTable, config: TrainConfig, epoch: int) -> list[NDArray[np.int64]]:
    """Rows of the micro-batches of one epoch."""
    return epoch_batches(
        clips,
        max_duration_s=config.batch_s,
        crop_s=config.crop_s,
        seed=config.seed,
        epoch=epoch,
    )


def micro_batch(
    data: TrainingData,
    config: TrainConfig,
    rows: Iterable[int],
    number: int,
    *,
    needs_units: bool,
    clips: ClipTable | None = None,
) -> MicroBatch:
    """Reads, crops and masks clips; the crops and masks depend on seed and number alone.

    Rows are cropped to the shortest and to at most `crop_s`.  No row is padded, as in the training
    of HuBERT: with similar lengths in a batch little audio is lost, and statistics need not exclude
    padding.  Clips that cannot be decoded are left out and listed.  clips: the table of the rows,
    by default the training clips.
    """
    chosen = [(data.train if clips is None else clips)[row] for row in map(int, rows)]
    generator = torch.Generator().manual_seed(step_seed(config.seed, number, DATA))
    crop_samples = int(config.crop_s * SAMPLE_RATE_HZ)
    n_samples = min(crop_samples, *(clip.n_samples for clip in chosen))
    starts = [
        int(torch.randint(clip.n_samples - n_samples + 1, (), generator=generator))
        for clip in chosen
    ]
    n_frames = n_frames_of(n_samples)
    mask_BT = batch_mask(len(chosen), n_frames, config.mask, generator)
    if not bool(mask_BT.any()):
        raise DataError(
            f"batch {', '.join(clip.id for clip in chosen[:5])}: no frame can be hidden; leave out "
            "clips under 2 frames"
        )
    crops: dict[int, Tensor] = {}
    unreadable: list[tuple[str, str]] = []
    for i, (clip, start) in enumerate(zip(chosen, starts, strict=True)):
        try:
            crops[i] = torch.from_numpy(data.read(clip, start, n_samples))
        except DataError as error:
            unreadable.append((clip.id, str(error)))
    kept = list(crops)
    if clips is None:  # only training clips
        changed = augmented(list(crops.values()), config.augment, generator)
        crops = dict(zip(kept, changed, strict=True))
    return MicroBatch(
        number=number,
        ids=tuple(chosen[i].id for i in kept),
        waveforms=torch.stack(list(crops.values())) if kept else torch.empty(0, n_samples),
        starts=tuple(starts[i] for i in kept),
        mask_BT=mask_BT[kept],
        targets_BT=_targets(data, [(chosen[i], starts[i]) for i in kept], n_frames)
        if needs_units
        else None,
        unreadable=tuple(unreadable),
    )


def _targets(data: TrainingData, crops: Sequence[tuple[Clip, int]], n_frames: int) -> Tensor:
    assert data.labels is not None
    targets_BT = torch.empty(len(crops), n_frames, dtype=torch.int64)
    for row, (clip, start) in zip(targets_BT, crops, strict=True):
        units = data.labels.for_frames(clip.id, n_frames, start_sample=start)
        row.copy_(torch.from_numpy(units))
    return targets_BT


_PlainBatch = dict[str, Any]
"""Fields of a MicroBatch with arrays in the place of tensors, which pass through pipes."""


def _plain(batch: MicroBatch) -> _PlainBatch:
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {k: v.numpy() if isinstance(v, Tensor) else v for k, v in values.items()}


def _batch(plain: _PlainBatch) -> MicroBatch:
    values: dict[str, Any] = {
        k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in plain.items()
    }
    return MicroBatch(**values)
