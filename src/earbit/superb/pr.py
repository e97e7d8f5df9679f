"""Phoneme recognition: the phones of an utterance by CTC.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: two linear layers per frame, CTC, 16 clips x 2
accumulated, 100,000 updates, phone error rate of greedy decoding.  Differs from s3prl: the
vocabulary is that of the training clips, targets have no end symbol, and no batch is halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from earbit.superb.task import Labels, Protocol, Task


def phones(labels: Sequence[Labels]) -> list[Any]:
    """`phones` of every clip: a list, or a text that is split at spaces."""
    given = [clip.get("phones") for clip in labels]
    return [value.split() if isinstance(value, str) else value for value in given]


PR = Task(
    name="pr",
    title="phoneme recognition",
    label="phones",
    targets=phones,
    kind="sequence",
    head="frame_linear",
    metrics=("per",),
    published=Protocol(batch_size=32, n_steps=100_000, n_checks=100, d_hidden=256),
    proxy=Protocol(lrs=(1e-2,), batch_size=16, n_steps=4_000, n_checks=20, d_hidden=256),
    source="SUPERB, arXiv 2105.01051",
)
