"""Tasks of heads that another program has trained, and that are imported with their model."""

from __future__ import annotations

from dataclasses import replace

from earbit.superb.task import NO_TRAINING, Task

CTC = Task(
    name="ctc",
    title="text of an imported model",
    label="text",
    kind="sequence",
    head="frame_linear",
    metrics=("wer", "cer"),
    published=NO_TRAINING,
    proxy=NO_TRAINING,
    source="Graves et al. 2006, Connectionist Temporal Classification",
)
CTC_BLSTM = replace(CTC, name="ctc-blstm", head="blstm")
LABELS = Task(
    name="labels",
    title="labels of an imported model",
    label="keyword",
    kind="class",
    head="mean_pool_linear",
    metrics=("accuracy",),
    published=NO_TRAINING,
    proxy=NO_TRAINING,
    source="huggingface/transformers, models for sequence classification",
)
IMPORTED: dict[str, Task] = {task.name: task for task in (CTC, CTC_BLSTM, LABELS)}
