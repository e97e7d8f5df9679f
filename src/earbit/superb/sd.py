"""Speaker diarization: who speaks when.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: one LSTM of 512 in time order, a linear layer to
the speakers, permutation-free binary cross-entropy, 8 clips x 4 accumulated, 30,000 updates,
diarization error rate with overlaps and without collar.  Differs from s3prl:
- checkpoint, threshold and median filter are picked on the validation clips by error rate; s3prl
  picks the checkpoint by frame accuracy there, and reports the lowest of ten settings on the test
  clips, which scores.json has as `value_picked_on_test`;
- test recordings are scored whole; s3prl cuts them at multiples of 40 s;
- training clips are random crops of 40 s; s3prl cuts them at multiples of 40 s.
"""

from __future__ import annotations

from earbit.superb.task import Protocol, Task

SD = Task(
    name="sd",
    title="speaker diarization",
    label="segments",
    example='"segments": [[0.0, 1.5, "anna"], [1.2, 3.0, "ben"]]',
    kind="segments",
    head="frame_lstm",
    metrics=("der",),
    published=Protocol(batch_size=32, n_steps=30_000, n_checks=60, d_hidden=512, max_s=40.0),
    proxy=Protocol(lrs=(1e-2,), batch_size=8, n_steps=300, n_checks=4, d_hidden=64, max_s=5.0),
    picked_on_test="setting",
    synthetic="synthetic-mixtures",
    source="SUPERB, arXiv 2105.01051",
)
