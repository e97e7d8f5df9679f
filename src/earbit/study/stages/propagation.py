"""Stage of error propagation: a trained quantized model against its full-precision model."""

from __future__ import annotations

import random
from typing import Any

from earbit.audio.clips import read_clip
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.frames import MIN_SAMPLES
from earbit.load import load_model
from earbit.quantize.propagation.measure import measure
from earbit.quantize.propagation.report import to_json
from earbit.quantize.propagation.subjects import Subject
from earbit.study.job import Job
from earbit.units.labelled import open_training_corpus


def propagation(job: Job) -> dict[str, Any]:
    """Errors of every module, alone and accumulated, on clips of the validation part."""
    step = job.step
    corpus = open_training_corpus(step.inputs["corpus"], resplit=bool(step.settings["resplit"]))
    ids = sorted(clip.id for clip in corpus.valid if clip.n_samples >= MIN_SAMPLES)
    random.Random(step.seed).shuffle(ids)
    n_samples = int(step.settings["seconds"] * SAMPLE_RATE_HZ)
    clips = []
    for name in ids[: step.settings["clips"]]:
        clip = corpus.valid.named(name)
        clips.append(read_clip(clip, 0, min(n_samples, clip.n_samples)))
    teacher, student = load_model(job.folder_of("teacher")), load_model(job.folder_of("model"))
    subject = Subject(str(step.encoder), str(step.plan), "fp32", teacher, student)
    errors = measure(teacher, student, clips, seed=step.seed or 0, title="error propagation")
    audio = {"audio": corpus.name, "clips": len(clips)}
    model: dict[str, Any] = to_json([(subject, errors)], audio)["models"][0]
    modules = [{"leaf": one.pop("name"), **one} for one in model["modules"]]
    kept = ("n_layers", "d_model", "is_mixed", "states", "interaction")
    return {**audio, "modules": modules, **{name: model[name] for name in kept}}
