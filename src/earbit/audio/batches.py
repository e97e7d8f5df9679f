"""Batches of like lengths, bounded by their total duration.

Which utterances form the batches of an epoch is a pure function of the corpus, the seed and the
epoch, so a run that is started again only skips the batches that it has used.
Letters: B batch, N samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from lhotse import CutSet
from lhotse.dataset import DynamicBucketingSampler
from torch import Tensor

from earbit.errors import ConfigError

MAX_BUCKETS = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """Utterances, padded with zeros to the longest."""

    ids: tuple[str, ...]
    waveforms: Tensor
    """Float32 (B, N)."""
    lengths: Tensor
    """Real samples of every row, int64 (B,)."""
    starts: tuple[int, ...]
    """Where every row was cropped from its utterance, in samples."""


def epoch_batches(
    cuts: CutSet,
    *,
    max_duration_s: float,
    seed: int,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
) -> list[tuple[str, ...]]:
    """Ids of the batches of one epoch; every cut once, at most `max_duration_s` padded audio each.

    A cut that is longer alone forms a batch of its own.  Raises ConfigError without cuts.
    """
    n_cuts = len(cuts)
    if not n_cuts or max_duration_s <= 0:
        raise ConfigError(
            f"{n_cuts} cuts in batches of {max_duration_s} s; both must be above zero"
        )
    sampler = DynamicBucketingSampler(
        cuts,
        max_duration=max_duration_s,
        num_buckets=min(MAX_BUCKETS, max(2, n_cuts // 2)) if n_cuts > 1 else 1,
        # The whole epoch is in the buffer: bucketing looks at all of it.
        buffer_size=max(n_cuts, 2),
        shuffle=True,
        seed=seed,
        rank=rank,
        world_size=world_size,
        drop_last=False,
    )
    sampler.set_epoch(epoch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [tuple(cut.id for cut in batch) for batch in sampler]


def collate(
    ids: tuple[str, ...],
    waveforms: Mapping[str, np.ndarray],
    *,
    crop_samples: int | None,
    generator: torch.Generator,
) -> Batch:
    """Stacks utterances; longer ones are cropped to `crop_samples` at a place that is drawn."""
    rows, starts = [], []
    for name in ids:
        waveform = waveforms[name]
        start = 0
        if crop_samples is not None and waveform.size > crop_samples:
            room = waveform.size - crop_samples
            start = int(torch.randint(room + 1, (), generator=generator))
            waveform = waveform[start : start + crop_samples]
        rows.append(torch.from_numpy(waveform))
        starts.append(start)
    return Batch(
        ids=ids,
        waveforms=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
        lengths=torch.tensor([row.numel() for row in rows]),
        starts=tuple(starts),
    )
