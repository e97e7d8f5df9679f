"""Speaker verification: whether two clips have the same speaker.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: an x-vector network of 512, additive margin
softmax over the training speakers, 10 clips x 5 accumulated, clips cropped to 8 s, AdamW, 200,000
updates, gradient norm up to 1,000, equal error rate of cosines.  Differs from s3prl:
- the checkpoint is picked on trials of validation speakers; s3prl picks it on the test trials;
- silence within clips is kept, and short training clips too; s3prl drops those up to 2 s;
- waveforms keep their level; s3prl lowers them by 3 dB.
"""

from __future__ import annotations

from earbit.superb.task import Protocol, Task

ASV = Task(
    name="asv",
    title="speaker verification",
    label="speaker",
    kind="vector",
    head="xvector",
    metrics=("eer",),
    published=Protocol(batch_size=50, n_steps=200_000, n_checks=20, d_hidden=512, max_s=8.0),
    proxy=Protocol(lrs=(1e-3,), batch_size=16, n_steps=400, n_checks=4, d_hidden=64, max_s=1.5),
    max_gradient_norm=1_000.0,
    weight_decay=0.01,
    picked_on_test="checkpoint",
    synthetic="synthetic-voices",
    source="SUPERB, arXiv 2105.01051",
)
