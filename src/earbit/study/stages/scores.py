"""Stages of SUPERB: heads on frozen features of a model, and the same heads on a program."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

from earbit.audio.corpus import load_waveform, open_corpus
from earbit.audio.splits import Splits
from earbit.config import from_dict
from earbit.files import make_folder
from earbit.heads.metrics import METRICS
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.model_file import save_model
from earbit.model_names import MODEL_FILE_NAME
from earbit.study.job import Job
from earbit.study.stages.programs import PROGRAM_NAME
from earbit.superb.head_file import HEAD_NAME, load_head
from earbit.superb.scores import cases_by_setting
from earbit.superb.tasks import task_named
from earbit.superb.verb import SCRATCH, score_model
from earbit.superb.work import Settings, named_work
from earbit.upstream.corpus_features import LoadAudio, corpus_features
from earbit.upstream.names import FBANK
from earbit.upstream.upstream import program_upstream

SUPERB = "superb"
"""Folder of the heads and scores in that of the step."""
KEPT_S = 3600.0
"""Longest corpus whose audio is kept in memory, 230 MB an hour."""
KEPT = (
    "metric",
    "value",
    "interval",
    "interval_over",
    "resampled",
    "test_groups",
    "corpus_digest",
    "metrics",
    "intervals",
    "higher_is_better",
    "valid_value",
    "n_train",
    "n_valid",
    "n_test",
    "n_queries",
    "n_documents",
    "lr",
    "layer",
    "setting",
    "protocol_name",
    "protocol",
    "splits",
    "value_picked_on_test",
)


def score(job: Job) -> dict[str, Any]:
    """Scores of all tasks of the step, which have one corpus and share its features."""
    step, settings = job.step, job.step.settings
    places = step.inputs["places"]
    scores = score_model(
        _upstream(job),
        step.parts,
        [f"{task}={places[task]}" for task in step.parts],
        job.folder / SUPERB,
        settings=Settings(
            protocol=settings["protocol"], n_steps=settings["n_steps"], tasks=settings["heads"]
        ),
        seed=step.seed or 0,
        threads=job.threads,
        resplit=bool(settings["resplit"]),
        device=step.inputs["device"],
        has_rejection=False,
        load=_reader(places[step.parts[0]]),
    )
    return {
        "scores": {one["task"]: {name: one[name] for name in KEPT if name in one} for one in scores}
    }


@functools.cache
def _reader(place: str) -> LoadAudio:
    """Reads the audio of a corpus; a short one is decoded once in each process."""
    if sum(cut.duration for cut in open_corpus(place).cuts) > KEPT_S:
        return load_waveform
    kept: dict[str, Any] = {}

    def load(cut: Any) -> Any:
        if cut.id not in kept:
            kept[cut.id] = load_waveform(cut)
        return kept[cut.id]

    return load


def _upstream(job: Job) -> str:
    """The name of a trained model, of a file with random weights, or of the filterbank."""
    settings = job.step.settings
    if "model" in job.needs:
        return str(job.folder_of("model"))
    if settings["upstream"] == FBANK:
        return FBANK
    config: ModelConfig = from_dict(ModelConfig, settings["model"])
    folder = make_folder(job.folder / "random")
    if not (folder / MODEL_FILE_NAME).is_file():
        model = random_model(config, job.step.seed or 0)
        save_model(model, folder / MODEL_FILE_NAME, {"stage": "random weights"})
    return str(folder)


def packed(job: Job) -> dict[str, Any]:
    """Values of the heads of a model on the features of its packed program, on the test clips."""
    step = job.step
    program = job.folder_of("program") / PROGRAM_NAME
    of_tasks = job.result_of("scores")["scores"]
    values: dict[str, float] = {}
    for task in step.parts:
        folder = _folder_of(job.folder_of("scores") / SUPERB, task)
        if folder is None or "lr" not in of_tasks.get(task, {}):
            continue  # nothing was trained, or one head for each fold
        corpus = open_corpus(step.inputs["places"][task], resplit=bool(step.settings["resplit"]))
        work = named_work(task_named(task), corpus)
        if not isinstance(work.of_task, Splits) or work.of_task.folds:
            continue
        test = {example.id for example in work.of_task.test}
        upstream = program_upstream(program, job.threads)
        load = _reader(step.inputs["places"][task])
        features, usable = corpus_features(upstream, corpus, test, job.folder / SCRATCH, load=load)
        if usable is not corpus:
            continue  # the head was scored on other splits
        cases = cases_by_setting(load_head(folder), features, work.of_task, "test")
        metric, setting = of_tasks[task]["metric"], of_tasks[task]["setting"]
        values[task] = METRICS[metric].of(cases[_setting(setting, cases)])
    shutil.rmtree(job.folder / SCRATCH, ignore_errors=True)
    return {"values": values}


def _folder_of(out: Path, task: str) -> Path | None:
    """The folder of a task in an output folder of `superb`, which holds one or several."""
    return next((one for one in (out / task, out) if (one / HEAD_NAME).is_file()), None)


def _setting(setting: Any, cases: Any) -> Any:
    """The setting as a key of `cases`; JSON has lists for tuples."""
    return next(one for one in cases if one == setting or one == _tuples(setting))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
