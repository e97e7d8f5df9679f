"""Scores a fine-tuned network on the test clips, in PyTorch or from its packed program."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earbit.audio.corpus import Corpus, load_waveform
from earbit.files import write_json
from earbit.finetune.loop import Clips
from earbit.finetune.network import SOFTMAX_KINDS, Network
from earbit.heads.metrics import METRICS
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.superb.head_file import HEAD_NAME, GridPoint, TrainedHead, save_head
from earbit.superb.rejection import add_rejection
from earbit.superb.scores import best_setting, cases_by_setting, score_of, scored
from earbit.superb.task import SCORES_NAME
from earbit.superb.verb import SCRATCH
from earbit.upstream.corpus_features import corpus_features
from earbit.upstream.features import FrozenFeatures
from earbit.upstream.planned import PROGRAM_NAME, Export
from earbit.upstream.upstream import Upstream, model_upstream, program_upstream


def score_network(
    network: Network,
    clips: Clips,
    corpus: Corpus,
    optimiser: OptimiserConfig,
    out_dir: Path,
    export: Export | None,
    seed: int,
    record: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes the head of a trained network and scores.json to OUT; returns the scores.

    record: further keys of scores.json.  export: scores the features of the packed program.
    `pytorch_value` is then the first metric in PyTorch, and `equal_to_pytorch` the share of clips
    with the same label or text.
    """
    task, splits, scratch = clips.task, clips.splits, out_dir / SCRATCH
    ids = {example.id for part in (splits.valid, splits.test) for example in part}
    if task.is_spotting:
        ids |= {example.id for example in splits.train}  # on which rejection is trained

    def features_of(upstream: Upstream) -> FrozenFeatures:
        return corpus_features(upstream, corpus, ids, scratch, clips.waveforms)[0]

    upstream = model_upstream("model", network.model)
    features = features_of(upstream)
    trained = TrainedHead(
        task=task,
        head=network.head,
        slots=clips.slots,
        model_digest=features.model_digest,
        point=GridPoint(lr=optimiser.peak_lr, value=0.0, step=optimiser.n_steps, n_skipped=0),
    )
    setting = best_setting(trained, features, splits)
    valid = cases_by_setting(trained, features, splits, "valid")[setting]
    value = METRICS[task.metrics[0]].of(valid)
    trained = dataclasses.replace(trained, point=dataclasses.replace(trained.point, value=value))
    save_head(out_dir / HEAD_NAME, trained)
    cases = cases_by_setting(trained, features, splits, "test")[setting]
    score = {**score_of(trained, setting, cases, features, splits, seed), **record, **upstream.size}
    if task.is_spotting:
        score = add_rejection(score, out_dir, upstream, features, corpus, splits, load_waveform)
    if export is not None:
        export(network.model, out_dir / PROGRAM_NAME, out_dir)
        packed = features_of(program_upstream(out_dir / PROGRAM_NAME, 1))
        of_packed = cases_by_setting(trained, packed, splits, "test")[setting]
        score |= {"pytorch_value": score["value"], "upstream": "runtime"}
        score |= scored(task, of_packed)
        if task.kind in SOFTMAX_KINDS:  # others predict numbers, which differ in the last bits
            same = [a == b for a, b in zip(of_packed.predictions, cases.predictions, strict=True)]
            score["equal_to_pytorch"] = sum(same) / len(same)
    write_json(out_dir / SCORES_NAME, score)
    shutil.rmtree(scratch, ignore_errors=True)
    return score
