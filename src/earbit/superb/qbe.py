"""Query by example: documents that contain the word of a spoken query.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: dynamic time warping of the features of one
layer, picked on the validation queries, maximum term-weighted value.  Nothing is trained.  Differs
from s3prl: validation and test queries may have documents of their own, and waveforms keep their
level.
"""

from __future__ import annotations

from earbit.superb.task import NO_TRAINING, Task

QBE = Task(
    name="qbe",
    title="query by example",
    label="query",
    kind="match",
    head="",
    metrics=("mtwv",),
    published=NO_TRAINING,
    proxy=NO_TRAINING,
    synthetic="synthetic-queries",
    source="SUPERB, arXiv 2105.01051",
)
