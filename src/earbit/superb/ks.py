"""Keyword spotting: classification of a clip as one of a few words.

Source: SUPERB, arXiv 2105.01051, as run by s3prl: a linear layer to 256, mean over frames, a linear
layer to the classes, cross-entropy, 32 clips per update, 200,000 updates, accuracy.  As in s3prl,
training draws every class equally often.  Differs from s3prl:
- classes are sorted; s3prl lists the ten commands first, then `_unknown_`, then `_silence_`;
- splits come from the corpus (those of s3prl with `earbit prepare speech-commands-v0.01`), or hold
  out speakers by another hash;
- validation clips are scored once each; s3prl draws a random sample with balanced classes;
- silence clips are clips labelled `_silence_`; s3prl cuts them at random from noise recordings;
- waveforms keep their level; s3prl lowers them by 3 dB.
"""

from __future__ import annotations

from earbit.superb.task import Protocol, Task

KS = Task(
    name="ks",
    title="keyword spotting",
    label="keyword",
    kind="class",
    head="mean_pool_linear",
    metrics=("accuracy", "mean_class_accuracy"),
    published=Protocol(batch_size=32, n_steps=200_000, n_checks=40, d_hidden=256),
    proxy=Protocol(lrs=(1e-1, 1e-2, 1e-3), batch_size=32, n_steps=600, n_checks=40, d_hidden=256),
    is_balanced=True,
    is_spotting=True,
    source="SUPERB, arXiv 2105.01051",
)
