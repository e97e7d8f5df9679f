"""Speaker identification: classification of a clip by its speaker.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: a linear layer to 256, mean over frames, a linear
layer to the speakers, cross-entropy, 8 clips x 4 accumulated, training clips cropped to 8 s,
200,000 updates, accuracy.  Every speaker needs clips in all parts: splits that hold out speakers
are replaced by splits that hold out clips.
"""

from __future__ import annotations

from earbit.superb.task import Protocol, Task

SID = Task(
    name="sid",
    title="speaker identification",
    label="speaker",
    kind="class",
    head="mean_pool_linear",
    metrics=("accuracy", "mean_class_accuracy"),
    published=Protocol(batch_size=32, n_steps=200_000, n_checks=40, d_hidden=256, max_s=8.0),
    proxy=Protocol(
        lrs=(1e-1, 1e-2, 1e-3), batch_size=32, n_steps=600, n_checks=12, d_hidden=256, max_s=8.0
    ),
    source="SUPERB, arXiv 2105.01051",
)
