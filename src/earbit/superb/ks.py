"""Keyword spotting: which of a few words a clip says.

Source: SUPERB, arXiv 2105.01051; as s3prl runs it: a linear layer to 256, mean over frames, a
linear layer to the classes, cross-entropy, 32 clips per update, 200,000 updates, accuracy.
Differs from s3prl:
- classes are sorted; s3prl lists the ten commands first, then `_unknown_`, then `_silence_`;
- the splits are those of the corpus, or speakers held out, by another hash than Speech Commands';
- validation clips are scored once each; s3prl draws a random sample with balanced classes;
- silence clips are those that the corpus labels `_silence_`; none are cut from noise recordings,
  and none is in two splits;
- waveforms come in at their own level; s3prl lowers all of them by 3 dB.
As in s3prl, training draws every class equally often, with replacement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from earbit.audio.splits import class_splits
from earbit.errors import DataError
from earbit.superb.classification import (
    balanced_weights,
    class_index,
    class_loss,
    class_scores,
    classes_of,
    likeliest_class,
)
from earbit.superb.heads import MeanPoolLinear
from earbit.superb.task import Defaults, Example, Splits, Task
from earbit.superb.training import train_head


def keyword_splits(cuts: Iterable[Any]) -> Splits:
    """Clips with a keyword label, `_unknown_` and `_silence_` among them, as splits.

    cuts: Lhotse cuts with `keyword` and `split` in their custom labels and the speaker in their
    supervision.  Clips without a keyword are left out and counted.  Raises DataError for a corpus
    without keywords and for a class that a split lacks.
    """
    examples: list[Example] = []
    split_of: dict[str, str | None] = {}
    n_without = 0
    for cut in cuts:
        labels = cut.custom or {}
        keyword = labels.get("keyword")
        if not isinstance(keyword, str) or not keyword:
            n_without += 1
            continue
        speaker = next((s.speaker for s in cut.supervisions if s.speaker), None)
        examples.append(Example(id=cut.id, target=keyword, speaker=speaker))
        split = labels.get("split")
        split_of[cut.id] = split if isinstance(split, str) else None
    if not examples:
        raise DataError(
            f"none of the {n_without} clips has a keyword; keyword spotting needs `keyword` in "
            "manifest.jsonl beside the audio (docs/corpus.md); `earbit prepare folder --root DIR "
            "--labels FILE.csv --out OUT` makes it from a table"
        )
    splits = class_splits(examples, split_of)
    return replace(splits, summary={**splits.summary, "n_without_keyword": n_without})


KS = Task(
    name="ks",
    title="keyword spotting",
    label="keyword",
    splits=keyword_splits,
    outputs=classes_of,
    head=MeanPoolLinear,
    fit=train_head,
    encode=class_index,
    loss=class_loss,
    weights=balanced_weights,
    decode=likeliest_class,
    score=class_scores,
    metric="accuracy",
    higher_is_better=True,
    defaults=Defaults(
        lrs=(1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7),
        batch_size=32,
        n_steps=200_000,
        n_proxy_steps=600,
        proxy_lrs=(1e-1, 1e-2, 1e-3),
        n_checks=40,
    ),
    source="SUPERB, arXiv 2105.01051",
)
