"""Emotion recognition: classification of a clip by the emotion of its speaker.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: a linear layer to 256, mean over frames, a linear
layer to the four classes, cross-entropy, 4 clips x 8 accumulated, 30,000 updates, accuracy, mean of
five folds.  A corpus with the label `fold` is scored so: the test clips are those of one fold, a
fifth of the others is for validation, and the value is the mean over the folds.  Differs from
s3prl: validation clips are a fifth of each class by a hash of their ids; s3prl draws a fifth of all
clips by the order of its files.
"""

from __future__ import annotations

from earbit.superb.task import Protocol, Task

ER = Task(
    name="er",
    title="emotion recognition",
    label="emotion",
    kind="class",
    head="mean_pool_linear",
    metrics=("accuracy", "mean_class_accuracy"),
    is_folded=True,
    published=Protocol(batch_size=32, n_steps=30_000, n_checks=30, d_hidden=256),
    proxy=Protocol(lrs=(1e-1, 1e-2, 1e-3), batch_size=32, n_steps=600, n_checks=12, d_hidden=256),
    source="SUPERB, arXiv 2105.01051",
)
