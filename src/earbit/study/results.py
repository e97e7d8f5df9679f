"""The results of a study as flat tables, for results.json (docs/results.schema.json)."""

from __future__ import annotations

import dataclasses
import datetime
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import earbit
from earbit.config import to_dict, type_name
from earbit.runtime.doctor import cpu_name
from earbit.runtime.session import chosen_isa
from earbit.study.correlations import correlations_of
from earbit.study.outcome import NOT_RUN, Outcome
from earbit.study.request import Request, Served
from earbit.study.step import Step
from earbit.study.verdicts import chance_of, warnings_of

SCHEMA = 1
Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Results:
    """Makes the tables from the outcomes of the steps."""

    request: Request
    served: Served
    corpus_digest: str
    steps: Sequence[Step]
    found: Mapping[str, Outcome]

    def as_dict(self, wall_s: float) -> Record:
        """All tables; what failed or was not run has no record.  wall_s: time of this run."""
        scores = finite(list(self._scores()))
        training = finite(list(self._training()))
        tables = {
            "schema": SCHEMA,
            "earbit": earbit.__version__,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "settings": self._settings(),
            "machine": self._machine(),
            "corpus": self._corpus(),
            "wall_s": round(sum(self._outcome(step).wall_s or 0.0 for step in self.steps), 1),
            "wall_s_of_this_run": round(wall_s, 1),
            "steps": [self._step(step) for step in self.steps],
            "units": [
                {"iteration": 2 if step.stage == "units2" else 1, **_row(step), **result}
                for step, result in self._done("units", "units2")
            ],
            "training": training,
            "cost": [{**_row(step), **result} for step, result in self._done("cost")],
            "cost_by_length": [result["by_length"] for _, result in self._done("lengths")],
            "export": [{**_row(step), **result} for step, result in self._done("export")],
            "times": [
                {**record, "encoder": step.encoder, "plan": step.plan}
                for step, result in self._done("times")
                for record in result["times"]
            ],
            "ops": [
                {
                    "encoder": step.encoder,
                    "plan": step.plan,
                    "seconds": step.settings["seconds"],
                    "threads": step.settings["threads"],
                    "ops": result["ops"],
                }
                for step, result in self._done("times")
            ],
            "propagation": [{**_row(step), **result} for step, result in self._done("propagation")],
            "scores": scores,
            "correlations": list(correlations_of(self._scored())),
            "warnings": warnings_of(scores, training),
        }
        return {name: finite(value) for name, value in tables.items()}

    def _outcome(self, step: Step) -> Outcome:
        return self.found.get(step.id, NOT_RUN)

    def _done(self, *stages: str) -> Iterator[tuple[Step, Mapping[str, Any]]]:
        for step in self.steps:
            result = self._outcome(step).result
            if step.stage in stages and result is not None:
                yield step, result

    def _settings(self) -> Record:
        request, scale = self.request, self.request.scale
        return {
            "scale": request.scale_name,
            "corpus": request.corpus,
            "corpus_digest": self.corpus_digest,
            "task_data": dict(self.served.place_of),
            "left_out": dict(self.served.left_out),
            "encoders": list(scale.encoders),
            "shapes": {name: self._shape(name) for name in scale.encoders},
            "plans": [plan.name for plan in request.plans()],
            "tasks": list(self.served.place_of),
            "seeds": list(request.seeds),
            "resplit": request.resplit,
            "set": list(request.settings),
            "scale_settings": {
                **dataclasses.asdict(scale),
                "shapes": {name: to_dict(shape) for name, shape in scale.shapes.items()},
            },
        }

    def _shape(self, encoder: str) -> Record:
        """The part that an encoder plays in the claims of the report, with all settings."""
        request = self.request
        model = request.scale.recipe(encoder, request.corpus, request.seed).model.encoder
        return {"type": type_name(type(model)), "n_layers": model.n_layers}

    def _machine(self) -> Record:
        import torch

        return {
            "cpu": cpu_name(),
            "isa": chosen_isa(),
            "threads_in_times": 1,
            "jobs": self.request.n_jobs,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "earbit": earbit.__version__,
        }

    def _corpus(self) -> Record:
        first = next((result for _, result in self._done("units")), {})
        names = ("n_utterances", "hours", "n_quarantined")
        return {name: first.get(name) for name in names}

    def _step(self, step: Step) -> Record:
        outcome = self._outcome(step)
        return {
            "id": step.id,
            "stage": step.stage,
            **_row(step),
            "task": step.task,
            "state": outcome.state,
            "wall_s": None if outcome.wall_s is None else round(outcome.wall_s, 2),
            "error": outcome.error,
        }

    def _training(self) -> Iterator[Record]:
        for step, result in self._done("pretrain", "pretrain2", "quantize"):
            iteration = {"pretrain": 1, "pretrain2": 2}.get(step.stage)
            yield {**_row(step), "iteration": iteration, **result}

    def _scores(self) -> Iterator[Record]:
        packed: dict[tuple[Any, ...], float] = {}
        for step, result in self._done("packed"):
            for task, value in result["values"].items():
                packed[step.encoder, step.plan, step.seed, task] = value
        for row, score in self._scored():
            yield {
                **row,
                "metric": score["metric"],
                "higher_is_better": score["higher_is_better"],
                "value": score["value"],
                "interval": score["interval"],
                "interval_over": score["interval_over"],
                "n_test": score.get("n_test"),
                "chance": chance_of(score),
                "packed_value": packed.get((row["encoder"], row["plan"], row["seed"], row["task"])),
                "protocol": score.get("protocol_name"),
                "metrics": score.get("metrics", {}),
            }

    def _scored(self) -> Iterator[tuple[Record, Mapping[str, Any]]]:
        """Row and score of every task."""
        for step, result in self._done("score"):
            for task in step.parts:
                yield {**_row(step), "task": task}, result["scores"][task]


def _row(step: Step) -> Record:
    return {"encoder": step.encoder, "plan": step.plan, "seed": step.seed}


def finite(value: Any) -> Any:
    """A JSON value with null for numbers that are not finite, which strict readers refuse."""
    if isinstance(value, Mapping):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
