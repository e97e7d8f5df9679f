"""Speech recognition: the transcript of an utterance, character by character, by CTC.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: a linear layer to 1,024, two bidirectional LSTMs
of 1,024, SpecAugment, CTC over characters, 32 clips per update, 200,000 updates, word error rate of
greedy decoding.  Differs from s3prl:
- the vocabulary is that of the training clips, in upper case, and targets have no end symbol;
- every batch has 32 clips; s3prl halves batches by a length table that it reads in samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from earbit.superb.task import Labels, Protocol, Task


def transcripts(labels: Sequence[Labels]) -> list[Any]:
    """`text` of every clip in upper case."""
    given = [clip.get("text") for clip in labels]
    return [text.upper() if isinstance(text, str) else None for text in given]


ASR = Task(
    name="asr",
    title="speech recognition",
    label="text",
    targets=transcripts,
    kind="sequence",
    head="blstm",
    metrics=("wer", "cer"),
    published=Protocol(batch_size=32, n_steps=200_000, n_checks=100, d_hidden=1_024),
    proxy=Protocol(lrs=(3e-3,), batch_size=16, n_steps=600, n_checks=4, d_hidden=64),
    source="SUPERB, arXiv 2105.01051",
)
