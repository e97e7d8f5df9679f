"""Stages of estimated cost, which need no trained model."""

from __future__ import annotations

from typing import Any

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.config import from_dict
from earbit.cost.lengths import macs_by_length
from earbit.cost.profile import leaves_of_config, profile_model
from earbit.cost.records import to_json
from earbit.model import ModelConfig
from earbit.quantize.plan import plan_named
from earbit.study.job import Job


def cost(job: Job) -> dict[str, Any]:
    """Profile of an encoder under a plan, for one clip."""
    step = job.step
    config: ModelConfig = from_dict(ModelConfig, step.settings["model"])
    precisions = plan_named(step.inputs["plan"]).precisions(leaves_of_config(config))
    profile = profile_model(
        config,
        precisions,
        n_samples=int(step.settings["seconds"] * SAMPLE_RATE_HZ),
        name=str(step.encoder),
        plan=str(step.plan),
    )
    return to_json([profile])[0]


def lengths(job: Job) -> dict[str, Any]:
    """MACs of an encoder by the length of the audio."""
    config: ModelConfig = from_dict(ModelConfig, job.step.settings["model"])
    return {"by_length": macs_by_length({str(job.step.encoder): config})[0]}
