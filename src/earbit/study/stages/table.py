"""Table of the stages: their titles and functions, known without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a study."""

    title: str
    function: str
    """Module and name, imported where a step runs."""


_HERE = "earbit.study.stages"
STAGES: dict[str, Stage] = {
    "units": Stage("acoustic units", f"{_HERE}.training:units"),
    "pretrain": Stage("pre-training", f"{_HERE}.training:pretrain"),
    "units2": Stage("units, second iteration", f"{_HERE}.training:units"),
    "pretrain2": Stage("pre-training, second iteration", f"{_HERE}.training:pretrain"),
    "quantize": Stage("quantization", f"{_HERE}.training:quantize"),
    "cost": Stage("cost", f"{_HERE}.cost:cost"),
    "lengths": Stage("cost by length", f"{_HERE}.cost:lengths"),
    "propagation": Stage("error propagation", f"{_HERE}.propagation:propagation"),
    "score": Stage("tasks", f"{_HERE}.scores:score"),
    "export": Stage("export", f"{_HERE}.programs:export"),
    "packed": Stage("tasks, packed", f"{_HERE}.scores:packed"),
    "times": Stage("measured times", f"{_HERE}.programs:times"),
}


def function_of(stage: str) -> str:
    """The function of a stage."""
    return STAGES[stage].function
