"""Stages of packed programs: export with verification, measured times, times of single ops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earbit.audio.clips import read_clip
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.bench.engine import speech_like
from earbit.bench.peers.catalogue import peers_named
from earbit.bench.side_by_side import bench
from earbit.errors import UnsupportedError
from earbit.export.verb import MAX_SAMPLES, export_to
from earbit.load import load_model
from earbit.model_names import MODEL_FILE_NAME
from earbit.progress import say
from earbit.runtime.session import Session
from earbit.study.job import Job
from earbit.units.labelled import open_training_corpus

PROGRAM_NAME = "program.safetensors"


def export(job: Job) -> dict[str, Any]:
    """Packs a model and compares the program with it on the longest validation clip."""
    step = job.step
    model = load_model(job.folder_of("model"))
    corpus = open_training_corpus(step.inputs["corpus"], resplit=bool(step.settings["resplit"]))
    clip = max(corpus.valid, key=lambda one: one.n_samples)
    waveform = read_clip(clip, 0, min(clip.n_samples, MAX_SAMPLES))
    name = f"{step.encoder} {step.plan}"
    found = export_to(model, job.folder / PROGRAM_NAME, name=name, waveform=waveform)
    return {name: found[name] for name in ("bytes", "agreement")}


def times(job: Job) -> dict[str, Any]:
    """Time of a program in turn with PyTorch and other engines on the same clip, and of its ops."""
    step = job.step
    settings = step.settings
    program = job.folder_of("program") / PROGRAM_NAME
    seconds, threads = settings["seconds"], settings["threads"]
    engines = peers_named(settings["engines"])
    records, left_out = _measured(job, program, engines)
    waveform = speech_like(int(seconds * SAMPLE_RATE_HZ))
    session = Session(program, threads)
    session.run(waveform)
    ops = [
        {
            "op": op.op,
            "role": None,
            "ms": 1e3 * op.seconds,
            "share_of_ceiling": op.of_ceiling,
        }
        for op in session.profile(waveform)
    ]
    return {"times": records, "ops": ops, "left_out": left_out}


def _measured(
    job: Job, program: Path, engines: list[str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Records of all engines that can run the model; the others with the reason."""
    settings = job.step.settings
    left_out: dict[str, str] = {}
    while True:
        try:
            found = bench(
                {str(job.step.plan): program},
                seconds=settings["seconds"],
                threads=settings["threads"],
                engines=engines,
                model=job.folder_of("float") / MODEL_FILE_NAME if "float" in job.needs else None,
                folder=job.folder,
                n_runs=settings["n_runs"],
            )
        except UnsupportedError as error:
            # An engine that cannot run this model must not cost the times of the others.
            name = next((one for one in reversed(engines) if one in str(error)), None)
            if name is None or name == "torch":
                raise
            say(f"left out: {error}")
            left_out[name] = str(error)
            engines = [one for one in engines if one != name]
            continue
        return [{**record, "beside": job.step.plan} for record in found], left_out
