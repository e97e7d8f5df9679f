"""Latency of models in a stream, from the rows that the ops of their programs need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from earbit import _core
from earbit.config import override
from earbit.export.lower import lower_model
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.nn.filterbank import FilterbankConfig
from earbit.nn.positional import N_GROUPS
from earbit.runtime.speech_segments import SAMPLE_RATE_HZ
from earbit.runtime.whole_clip import obstacle


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of a stream, or why a model cannot stream."""

    ms: float | None
    """From the start of a frame to the last audio that its features follow from."""
    whole_clip: str | None
    """The first op that needs the whole clip, and what to use instead."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"latency_ms": self.ms, "whole_clip": self.whole_clip}


def latency_of(config: ModelConfig) -> Latency:
    """The latency of a model, whose plan and head do not matter.

    Raises UnsupportedError for an encoder without a lowering.
    """
    lowered = lower_model(random_model(_narrow(config), 0).eval())
    program = _core.Program()
    for op in lowered.ops:
        tensors = {role: lowered.tensors[name] for role, name in op["tensors"].items()}
        program.add(op["op"], op["inputs"], op["ints"], op["floats"], tensors)
    outputs = lowered.outputs[-1:]
    reason = obstacle(program, outputs)
    if reason is not None:
        return Latency(None, reason)
    return Latency(1000 * _core.latency(program, outputs) / SAMPLE_RATE_HZ, None)


def _narrow(config: ModelConfig) -> ModelConfig:
    """The same model with as few columns as possible, on which no needs depend."""
    columns = "n_mels" if isinstance(config.front_end, FilterbankConfig) else "n_channels"
    narrow = [f"encoder.d_model={N_GROUPS}", "encoder.n_heads=1", "encoder.d_ffn=1"]
    return override(config, [*narrow, f"front_end.{columns}=1", "n_units=null"])


def render_latencies(latencies: Mapping[str, Latency]) -> str:
    """A line for each model by name."""
    lines = [
        f"{name}: {latency.whole_clip}"
        if latency.ms is None
        else f"{name}: {latency.ms:g} ms from the start of a frame to the last audio that its "
        "features follow from."
        for name, latency in latencies.items()
    ]
    return "\n".join(f"latency of a stream of {line}" for line in lines)
