"""Trains one head on frozen features: batch, forward, loss, backward, clip, step, check.

Differs from s3prl: batches are as large as batch x accumulation there, and an infinite gradient is
left out as a NaN gradient is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from earbit.errors import ConfigError
from earbit.superb.clip_batches import collate, endless_batches
from earbit.superb.features import FrozenFeatures
from earbit.superb.heads import Head
from earbit.superb.task import Example, FitRequest, Fitted, GridPoint, Task, new_head


def train_head(request: FitRequest) -> Fitted:
    """Trains a head with Adam at a constant rate and gives it back as it was at its best check.

    Among equal checks the earliest counts.  The same request gives the same bits on a CPU; the
    global random state is left as it was.  Source: SUPERB, arXiv 2105.01051; gradient clipping and
    the check intervals are those of s3prl.
    """
    task, splits, features = request.task, request.splits, request.features
    if task.encode is None or task.loss is None or request.lr is None:
        raise ConfigError(f"task {task.name} has no encode, loss or lr; give it another `fit`")
    targets = [task.encode(example.target, request.outputs) for example in splits.train]
    weights = None if task.weights is None else task.weights(splits.train)
    generator = torch.Generator().manual_seed(request.seed)
    batches = endless_batches(len(splits.train), request.batch_size, weights, generator)
    check_every = math.ceil(request.n_steps / task.defaults.n_checks)
    head = new_head(request)
    # With a weight decay of zero AdamW is Adam.
    optimiser = torch.optim.AdamW(
        head.parameters(), lr=request.lr, weight_decay=task.defaults.weight_decay
    )
    best: GridPoint | None = None
    best_tensors: dict[str, Tensor] = {}
    n_skipped = 0
    # Dropout draws from torch's global generator; it is lent a seed and given back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.seed)
        for step, rows in enumerate(islice(batches, request.n_steps), start=1):
            states_LBTD, lengths = collate(features.clips, [splits.train[i].id for i in rows])
            head.train()
            optimiser.zero_grad(set_to_none=True)
            loss = task.loss(head(states_LBTD, lengths), lengths, [targets[i] for i in rows])
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(
                head.parameters(), task.defaults.max_gradient_norm
            )
            if bool(torch.isfinite(norm)):
                optimiser.step()
            else:
                n_skipped += 1
            if step % check_every and step != request.n_steps:
                continue
            predictions = predict_all(task, head, request.outputs, features, splits.valid)
            value = task.metrics(predictions, splits.valid)[task.metric]
            if best is None or task.is_better(value, best.value):
                best = GridPoint(lr=request.lr, value=value, step=step, n_skipped=0)
                best_tensors = {name: t.clone() for name, t in head.state_dict().items()}
    assert best is not None, "the last step is always checked"
    head.load_state_dict(best_tensors)
    point = GridPoint(lr=best.lr, value=best.value, step=best.step, n_skipped=n_skipped)
    return Fitted(head=head.eval(), point=point)


def predict_all(
    task: Task,
    head: Head,
    outputs: Sequence[str],
    features: FrozenFeatures,
    examples: Sequence[Example],
    batch_size: int = 32,
) -> list[Any]:
    """Predictions of a head for clips, in their order; clips of like length share a batch."""
    clips = features.clips
    by_length = sorted(range(len(examples)), key=lambda i: clips[examples[i].id].shape[1])
    predictions: dict[int, Any] = {}
    head.eval()
    with torch.inference_mode():
        for start in range(0, len(by_length), batch_size):
            rows = by_length[start : start + batch_size]
            states_LBTD, lengths = collate(clips, [examples[i].id for i in rows])
            results = head(states_LBTD, lengths)
            for i, result, n_frames in zip(rows, results, lengths.tolist(), strict=True):
                # A result per frame loses its padding, a result per clip has none.
                real = result[:n_frames] if results.dim() == 3 else result
                predictions[i] = task.decode(real, outputs)
    return [predictions[i] for i in range(len(examples))]
