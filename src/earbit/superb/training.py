"""Training loop of one head on frozen features.

All random numbers of an update depend only on the seed and its number, so on a CPU a resumed
training gives the same bits as an uninterrupted one.

Differs from s3prl: a batch has the size of batch x accumulation in s3prl, long clips are cropped at
random for every kind of output, and updates with an infinite gradient are skipped, as updates with
a NaN gradient are.

Letters: L hidden states, B batch, T frames, D width.
"""

from __future__ import annotations

import copy
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import Splits
from earbit.errors import Interrupted, Terminated
from earbit.heads.example import Example
from earbit.heads.head import Head, HeadShape
from earbit.heads.kinds.kind import Slots
from earbit.heads.kinds.table import KINDS
from earbit.heads.metrics import METRICS
from earbit.heads.table import HEADS
from earbit.nn.devices import device_named, moved
from earbit.nn.seeds import DROPOUT, step_seed
from earbit.pretrain.checkpoint import Position, load_newest, save_checkpoint
from earbit.pretrain.interruption import delayed_interruption
from earbit.progress import Advance
from earbit.superb.head_file import GridPoint, TrainedHead
from earbit.superb.task import Protocol, Task
from earbit.upstream.batches import collate, crop_starts, cropped, endless_batches
from earbit.upstream.feature_store import frames_in
from earbit.upstream.features import FrozenFeatures

EVALUATION_CLIPS, EVALUATION_BYTES = 32, 500 * 10**6
"""Largest batch of an evaluation."""
CHECKPOINT_EVERY_S = 300.0
"""Training time between checkpoints; a shorter training writes none unless it is interrupted."""


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


class _InTraining(torch.nn.Module):
    """A head and its best state so far, as one module for checkpoints."""

    best_value: Tensor
    best_step: Tensor
    """0 before the first evaluation."""
    test_value: Tensor
    """Best value on the test clips, where the leaderboard picks checkpoints there; else NaN."""
    n_skipped: Tensor

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head
        self.best = copy.deepcopy(head)
        self.register_buffer("best_value", torch.tensor(math.nan, dtype=torch.float64))
        self.register_buffer("test_value", torch.tensor(math.nan, dtype=torch.float64))
        self.register_buffer("best_step", torch.tensor(0))
        self.register_buffer("n_skipped", torch.tensor(0))

    def keep(self, value: float, step: int) -> None:
        """Records the present head as the best one."""
        self.best.load_state_dict(self.head.state_dict())
        self.best_value.fill_(value)
        self.best_step.fill_(step)


def train_head(
    training: Training,
    lr: float,
    advance: Advance = lambda n=1, note="": None,
    checkpoints: Path | None = None,
) -> TrainedHead:
    """Trains a head with Adam at a constant rate and returns the best of its evaluations.

    advance: called after every update.  checkpoints: folder of this training alone, from which it
    resumes; it gets a checkpoint every CHECKPOINT_EVERY_S, and one before Interrupted is raised
    after Ctrl-C.  Of equal evaluations the earliest counts.  Training is deterministic on a CPU and
    does not change the global random state.  Source: SUPERB, arXiv 2105.01051; gradient clipping
    and evaluation intervals follow s3prl.
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
    # Initial weights and dropout draw from torch's global generator, seeded for this block.
    with (
        torch.random.fork_rng(devices=[]),
        nullcontext(_never) if checkpoints is None else delayed_interruption() as is_ended,
    ):
        torch.manual_seed(training.seed)
        shape = HeadShape(
            n_states=features.n_states,
            width=features.width,
            n_outputs=sum(map(len, slots)),
            d_hidden=protocol.d_hidden,
        )
        state = _InTraining(HEADS[task.head](shape).to(training.device))
        head = state.head
        # With a weight decay of zero AdamW is Adam.
        optimiser = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=task.weight_decay)
        found = None if checkpoints is None else load_newest(checkpoints, state, optimiser, {})
        n_done = 0 if found is None else found.step
        advance(n_done)
        saved_s = time.monotonic()
        for step, rows in enumerate(islice(batches, n_done, protocol.n_steps), start=n_done + 1):
            torch.manual_seed(step_seed(training.seed, step, DROPOUT))
            crops = np.random.default_rng((training.seed, step))
            ids = [splits.train[i].id for i in rows]
            starts = crop_starts(features.clips, ids, training.max_frames, crops)
            states_LBTD, lengths = collate(features.clips, ids, starts, training.max_frames)
            goals = cropped([encoded[i] for i in rows], starts, lengths)
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
                state.n_skipped += 1
            advance()
            if step % check_every == 0 or step == protocol.n_steps:
                value = _value(training, head, slots, "valid")
                if not state.best_step or metric.is_better(value, float(state.best_value)):
                    state.keep(value, step)
                if task.picked_on_test == "checkpoint":
                    value = _value(training, head, slots, "test")
                    if metric.is_better(value, float(state.test_value)):
                        state.test_value.fill_(value)
            if checkpoints is None:
                continue
            ends_here = is_ended()
            if ends_here or time.monotonic() - saved_s >= CHECKPOINT_EVERY_S:
                save_checkpoint(checkpoints, state, optimiser, Position(step, 0, step), {})
                saved_s = time.monotonic()
            if ends_here:
                end = Terminated if ends_here == signal.SIGTERM else Interrupted
                raise end(f"{task.name} lr {lr} after update {step} of {protocol.n_steps}")
    point = GridPoint(
        lr=lr,
        value=float(state.best_value),
        step=int(state.best_step),
        n_skipped=int(state.n_skipped),
        test_value=float(state.test_value) if task.picked_on_test == "checkpoint" else None,
    )
    return TrainedHead(
        task=task,
        head=state.best.cpu().eval(),
        slots=slots,
        model_digest=features.model_digest,
        point=point,
    )


def _never() -> int:
    return 0


def _value(training: Training, head: Head, slots: Slots, part: str) -> float:
    """First metric of the task on the clips of a part."""
    task, splits, examples = training.task, training.splits, getattr(training.splits, part)
    found = predict(task, head, slots, training.features, examples)
    cases = KINDS[task.kind].cases(examples, found, splits.trials.get(part, ()))
    return METRICS[task.metrics[0]].of(cases)


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
