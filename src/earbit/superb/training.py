"""Training loop of one head on frozen features.

Differs from s3prl: a batch has the size of batch x accumulation in s3prl, long clips are cropped at
random for every kind of output, and updates with an infinite gradient are skipped, as updates with
a NaN gradient are.

Letters: L hidden states, B batch, T frames, D width.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import Splits
from earbit.heads.example import Example
from earbit.heads.head import Head, HeadShape
from earbit.heads.kinds.kind import Slots
from earbit.heads.kinds.table import KINDS
from earbit.heads.metrics import METRICS
from earbit.heads.table import HEADS
from earbit.nn.devices import device_named, moved
from earbit.progress import Advance
from earbit.superb.head_file import GridPoint, TrainedHead
from earbit.superb.task import Protocol, Task
from earbit.upstream.feature_store import frames_in
from earbit.upstream.features import FrozenFeatures

EVALUATION_CLIPS, EVALUATION_BYTES = 32, 500 * 10**6
"""Largest batch of an evaluation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """Training settings that all heads of a sweep share; only the learning rate differs."""

    task: Task
    protocol: Protocol
    features: FrozenFeatures
    splits: Splits[Example]
    seed: int

    @property
    def device(self) -> torch.device:
        """Device on which the head is trained."""
        return device_named(self.features.device)

    @property
    def max_frames(self) -> int | None:
        """Longest training clip in frames; longer clips are cropped."""
        if self.protocol.max_s is None:
            return None
        return max(1, round(self.protocol.max_s * SAMPLE_RATE_HZ / self.features.hop_samples))


def train_head(
    training: Training, lr: float, advance: Advance = lambda n=1, note="": None
) -> TrainedHead:
    """Trains a head with Adam at a constant rate and returns its best checkpoint.

    advance: called after every update.  Of equal evaluations the earliest counts.  Training is
    deterministic on a CPU and does not change the global random state.  Source: SUPERB, arXiv
    2105.01051; gradient clipping and evaluation intervals follow s3prl.
    """
    task, protocol, splits = training.task, training.protocol, training.splits
    features, kind, metric = training.features, KINDS[task.kind], METRICS[task.metrics[0]]
    targets = [example.target for example in splits.train]
    slots = kind.slots_of(targets)
    encoded = [
        kind.encode(e.target, slots, frames_in(features.clips, e.id), features.hop_samples)
        for e in splits.train
    ]
    batches = endless_batches(
        targets, protocol.batch_size, is_balanced=task.is_balanced, seed=training.seed
    )
    check_every = math.ceil(protocol.n_steps / protocol.n_checks)
    best_tensors: dict[str, Tensor] = {}
    best_value, best_step, n_skipped = math.nan, 0, 0
    crops = np.random.default_rng(training.seed)
    # Initial weights and dropout draw from torch's global generator, seeded for this block.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        shape = HeadShape(
            n_states=features.n_states,
            width=features.width,
            n_outputs=sum(map(len, slots)),
            d_hidden=protocol.d_hidden,
        )
        head = HEADS[task.head](shape).to(training.device)
        # With a weight decay of zero AdamW is Adam.
        optimiser = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=task.weight_decay)
        torch.manual_seed(training.seed)
        for step, rows in enumerate(islice(batches, protocol.n_steps), start=1):
            ids = [splits.train[i].id for i in rows]
            starts = _crop_starts(features.clips, ids, training.max_frames, crops)
            states_LBTD, lengths = collate(features.clips, ids, starts, training.max_frames)
            goals = _cropped([encoded[i] for i in rows], starts, lengths)
            goals = [moved(goal, training.device) for goal in goals]
            states_LBTD, lengths = (moved(t, training.device) for t in (states_LBTD, lengths))
            head.train()
            optimiser.zero_grad(set_to_none=True)
            outputs = head(states_LBTD, lengths)
            kind.loss(head, outputs, lengths, goals, slots).backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(head.parameters(), task.max_gradient_norm)
            if bool(torch.isfinite(norm)):
                optimiser.step()
            else:
                n_skipped += 1
            advance()
            if step % check_every and step != protocol.n_steps:
                continue
            found = predict(task, head, slots, features, splits.valid)
            value = metric.of(kind.cases(splits.valid, found, splits.trials.get("valid", ())))
            if not best_tensors or metric.is_better(value, best_value):
                best_value, best_step = float(value), step
                best_tensors = {name: t.clone() for name, t in head.state_dict().items()}
    head.cpu().load_state_dict(best_tensors)
    return TrainedHead(
        task=task,
        head=head.eval(),
        slots=slots,
        model_digest=features.model_digest,
        point=GridPoint(lr=lr, value=best_value, step=best_step, n_skipped=n_skipped),
    )


def predict(
    task: Task, head: Head, slots: Slots, features: FrozenFeatures, examples: Sequence[Example]
) -> dict[str, Any]:
    """Predictions of a head by clip, under the first setting of its kind."""
    (found,) = predictions_by_setting(task, head, slots, features, examples, 1).values()
    return found


def predictions_by_setting(
    task: Task,
    head: Head,
    slots: Slots,
    features: FrozenFeatures,
    examples: Sequence[Example],
    n_settings: int | None = None,
) -> dict[Any, dict[str, Any]]:
    """Predictions by setting of the kind and by clip."""
    kind = KINDS[task.kind]
    found: dict[Any, dict[str, Any]] = {s: {} for s in kind.settings[:n_settings]}
    for clip_id, outputs in outputs_by_clip(head, features, examples):
        for setting, by_clip in found.items():
            by_clip[clip_id] = kind.decode(outputs, slots, features.hop_samples, setting)
    return found


def outputs_by_clip(
    head: Head, features: FrozenFeatures, examples: Sequence[Example]
) -> Iterator[tuple[str, Tensor]]:
    """Id and outputs (C,) or (T, C) of every clip, from the shortest to the longest.

    Clips of similar length share a batch of up to EVALUATION_CLIPS and EVALUATION_BYTES.
    """
    clips = features.clips
    ids = sorted((example.id for example in examples), key=lambda i: frames_in(clips, i))
    bytes_per_frame = 4 * features.n_states * features.width
    head.eval()
    while ids:
        # The last clip of a batch is the longest, and the others are padded to it.
        n = min(EVALUATION_CLIPS, len(ids))
        while n > 1 and n * frames_in(clips, ids[n - 1]) * bytes_per_frame > EVALUATION_BYTES:
            n -= 1
        batch, ids = ids[:n], ids[n:]
        with torch.inference_mode():
            states_LBTD, lengths = collate(clips, batch)
            device = next((p.device for p in head.parameters()), states_LBTD.device)
            results = head(moved(states_LBTD, device), moved(lengths, device)).cpu()
        for clip_id, result, n_frames in zip(batch, results, lengths.tolist(), strict=True):
            # Frame-level results are cut to their length; clip-level results have no padding.
            yield clip_id, result[:n_frames] if results.dim() == 3 else result


def collate(
    features: Mapping[str, NDArray[np.float32]],
    ids: Sequence[str],
    starts: Sequence[int] | None = None,
    max_frames: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Pads features (L, T_i, D) of clips to (L, B, T, D) with zeros; lengths are int64 (B,).

    starts: first frame of each clip, 0 by default; at most `max_frames` are taken from there.
    """
    starts = starts or [0] * len(ids)
    spare = [frames_in(features, i) - start for i, start in zip(ids, starts, strict=True)]
    n_frames = spare if max_frames is None else [min(n, max_frames) for n in spare]
    padded = np.empty(0, np.float32)
    # One clip at a time: features of a batch may take gigabytes.
    for row, (clip_id, start, n) in enumerate(zip(ids, starts, n_frames, strict=True)):
        clip = features[clip_id]
        if not row:
            padded = np.zeros((len(clip), len(ids), max(n_frames), clip.shape[2]), np.float32)
        padded[:, row, :n] = clip[:, start : start + n]
        del clip  # before the next one is read
    return torch.from_numpy(padded), torch.tensor(n_frames)


def _crop_starts(
    clips: Mapping[str, NDArray[np.float32]],
    ids: Sequence[str],
    max_frames: int | None,
    random: np.random.Generator,
) -> list[int]:
    """Random first frames of crops; 0 for clips that are not longer."""
    if max_frames is None:
        return [0] * len(ids)
    spare = [max(0, frames_in(clips, i) - max_frames) for i in ids]
    return [int(random.integers(n + 1)) for n in spare]


def _cropped(encoded: Sequence[Tensor], starts: Sequence[int], lengths: Tensor) -> list[Tensor]:
    """The crops of targets per frame (T, C); other targets belong to the whole clip."""
    return [
        target[start : start + n] if target.dim() == 2 else target
        for target, start, n in zip(encoded, starts, lengths.tolist(), strict=True)
    ]


def endless_batches(
    targets: Sequence[Hashable], batch_size: int, *, is_balanced: bool, seed: int
) -> Iterator[list[int]]:
    """Endless batches of indices of training clips; a batch may span two epochs.

    An epoch is a permutation.  With balanced targets it is as many draws with replacement, which
    draw every target with equal probability.
    """
    counts = Counter(targets)
    weights = torch.tensor([1 / counts[target] for target in targets])
    generator = torch.Generator().manual_seed(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < batch_size:
            if is_balanced:
                epoch = torch.multinomial(weights, len(targets), True, generator=generator)
            else:
                epoch = torch.randperm(len(targets), generator=generator)
            waiting += epoch.tolist()
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]
