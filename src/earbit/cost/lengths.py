"""Cost against length of audio: products of a model from 1 second to 10 minutes."""

from __future__ import annotations

from typing import Any

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.profile import profile_model
from earbit.model import ModelConfig

LENGTHS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


def macs_by_length(name: str, config: ModelConfig) -> dict[str, Any]:
    """`{name, seconds, macs}`, the latter two lists of the same length; plans do not change it."""
    profiles = [
        profile_model(config, {}, n_samples=s * SAMPLE_RATE_HZ, name=name, plan="fp32", devices=())
        for s in LENGTHS_S
    ]
    return {"name": name, "seconds": list(LENGTHS_S), "macs": [p.total.macs for p in profiles]}
