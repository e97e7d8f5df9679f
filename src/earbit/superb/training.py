"""Training loop of one head on frozen features.

Differs from s3prl: a batch has the size of batch x accumulation in s3prl, and updates with an
infinite gradient are skipped, as updates with a NaN gradient are.

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

from earbit.audio.splits import Splits
from earbit.superb.features import FrozenFeatures
from earbit.superb.head_file import GridPoint, TrainedHead
from earbit.superb.heads import HEADS, Head, HeadShape
from earbit.superb.kinds.kind import Slots
from earbit.superb.kinds.table import KINDS
from earbit.superb.metrics import METRICS
from earbit.superb.task import Example, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """Training settings that all heads of a sweep share; only the learning rate differs."""

    task: Task
    features: FrozenFeatures
    splits: Splits[Example]
    n_steps: int
    batch_size: int
    seed: int


def train_head(training: Training, lr: float) -> TrainedHead:
    """Trains a head with Adam at a constant rate and returns its best checkpoint.

    Of equal evaluations the earliest counts.  Training is deterministic on a CPU and does not
    change the global random state.  Source: SUPERB, arXiv 2105.01051; gradient clipping and
    evaluation intervals follow s3prl.
    """
    task, splits, features = training.task, training.splits, training.features
    kind, metric = KINDS[task.kind], METRICS[task.metrics[0]]
    targets = [example.target for example in splits.train]
    slots = kind.slots_of(targets)
    encoded = [kind.encode(target, slots) for target in targets]
    batches = endless_batches(
        targets, training.batch_size, is_balanced=task.is_balanced, seed=training.seed
    )
    check_every = math.ceil(training.n_steps / task.n_checks)
    best_tensors: dict[str, Tensor] = {}
    best_value, best_step, n_skipped = math.nan, 0, 0
    # Initial weights and dropout draw from torch's global generator, seeded for this block.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        n_outputs = sum(map(len, slots))
        sizes = {"n_states": features.n_states, "width": features.width, "n_outputs": n_outputs}
        head = HEADS[task.head](HeadShape(**sizes))
        # With a weight decay of zero AdamW is Adam.
        optimiser = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=task.weight_decay)
        torch.manual_seed(training.seed)
        for step, rows in enumerate(islice(batches, training.n_steps), start=1):
            states_LBTD, lengths = collate(features.clips, [splits.train[i].id for i in rows])
            head.train()
            optimiser.zero_grad(set_to_none=True)
            outputs = head(states_LBTD, lengths)
            kind.loss(outputs, lengths, [encoded[i] for i in rows], slots).backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(head.parameters(), task.max_gradient_norm)
            if bool(torch.isfinite(norm)):
                optimiser.step()
            else:
                n_skipped += 1
            if step % check_every and step != training.n_steps:
                continue
            predictions = predict(task, head, slots, features, splits.valid)
            value = metric.of(predictions, [example.target for example in splits.valid])
            if not best_tensors or metric.is_better(value, best_value):
                best_value, best_step = float(value), step
                best_tensors = {name: t.clone() for name, t in head.state_dict().items()}
    head.load_state_dict(best_tensors)
    return TrainedHead(
        task=task,
        head=head.eval(),
        slots=slots,
        model_digest=features.model_digest,
        point=GridPoint(lr=lr, value=best_value, step=best_step, n_skipped=n_skipped),
    )


def predict(
    task: Task,
    head: Head,
    slots: Slots,
    features: FrozenFeatures,
    examples: Sequence[Example],
    batch_size: int = 32,
) -> list[Any]:
    """Predictions of a head in the order of the clips; clips of similar length share a batch."""
    clips, kind = features.clips, KINDS[task.kind]
    by_length = sorted(range(len(examples)), key=lambda i: clips[examples[i].id].shape[1])
    predictions: dict[int, Any] = {}
    head.eval()
    with torch.inference_mode():
        for start in range(0, len(by_length), batch_size):
            rows = by_length[start : start + batch_size]
            states_LBTD, lengths = collate(clips, [examples[i].id for i in rows])
            results = head(states_LBTD, lengths)
            for i, result, n_frames in zip(rows, results, lengths.tolist(), strict=True):
                # Frame-level results are cut to their length; clip-level results have no padding.
                real = result[:n_frames] if results.dim() == 3 else result
                predictions[i] = kind.decode(real, slots)
    return [predictions[i] for i in range(len(examples))]


def collate(
    features: Mapping[str, NDArray[np.float32]], ids: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Pads features (L, T_i, D) of clips to (L, B, T, D) with zeros; lengths are int64 (B,)."""
    clips = [features[i] for i in ids]
    n_frames = [clip.shape[1] for clip in clips]
    n_states, _, width = clips[0].shape
    padded = np.zeros((n_states, len(clips), max(n_frames), width), np.float32)
    for row, clip in enumerate(clips):
        padded[:, row, : clip.shape[1]] = clip
    return torch.from_numpy(padded), torch.tensor(n_frames)


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
