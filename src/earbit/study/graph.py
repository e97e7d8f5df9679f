"""The graph of a study: the steps of every encoder, plan and seed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earbit.config import to_dict
from earbit.pretrain.recipe import RecipeConfig
from earbit.quantize.plan import Plan, plan_named
from earbit.runtime.doctor import cpu_name
from earbit.runtime.session import chosen_isa
from earbit.study.request import Request, Served
from earbit.study.scale import FIRST_STAGES
from earbit.study.step import Step
from earbit.units.labelled import units_in
from earbit.upstream.names import FBANK

FLOAT_PLAN = "fp32"
UNTRAINED = "random weights"
"""Plan of the untrained baseline."""
NO_PLAN = "-"
"""Plan of the filterbank baseline."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Builds the steps of a request."""

    request: Request
    served: Served
    corpus_digest: str

    def steps(self) -> list[Step]:
        """All steps, each once; the order has no meaning.

        Raises ValueError for two different steps with one id.
        """
        steps: list[Step] = []
        for seed in self.request.seeds:
            steps.append(self._units(seed))
            for encoder in self.request.scale.encoders:
                steps += self._of_encoder(encoder, seed)
        for encoder in self.request.scale.encoders:
            steps += self._costs(encoder)
        for tasks in self.served.groups:
            for seed in self.request.seeds:
                steps.append(self._score(tasks, FBANK, NO_PLAN, seed, {"upstream": FBANK}))
        by_id: dict[str, Step] = {}
        for step in steps:
            if by_id.setdefault(step.id, step) != step:
                raise ValueError(
                    f"two different steps are called {step.id!r}; give them different names"
                )
        return list(by_id.values())

    def _recipe(self, encoder: str, seed: int) -> RecipeConfig:
        return self.request.scale.recipe(encoder, self.request.corpus, seed)

    def _common(self) -> dict[str, Any]:
        return {"corpus": self.corpus_digest, "resplit": self.request.resplit}

    def _inputs(self, recipe: RecipeConfig) -> dict[str, Any]:
        machine = recipe.train.machine
        if machine.workers < 0 and self.request.n_jobs > 1:
            machine = replace(machine, workers=0)  # the jobs fill the cores
        return {
            "corpus": self.request.corpus,
            "machine": to_dict(machine),
            # `earbit pretrain` may have run a step, with a recipe that names its units.
            "is_launched": self.request.scale.ranks > 1,
        }

    def _units(self, seed: int, of_model: Step | None = None) -> Step:
        """Units of MFCC or given ones, shared by all encoders, or of the first model of one."""
        recipe = self._recipe(self.request.scale.encoders[0], seed)
        if of_model is None and recipe.units is not None:
            return Step(  # the same for all seeds
                stage="units",
                settings={"labels": _labels_digest(recipe.units), **self._common()},
                inputs={**self._inputs(recipe), "units": recipe.units},
            )
        if of_model is not None:
            recipe = self._recipe(str(of_model.encoder), seed)
        config = (recipe if of_model is None else recipe.stage(2)).unit_config
        settings = {
            "n_units": config.n_units,
            "fraction": config.fraction,
            "memory_gb": config.memory_gb,
            **self._common(),
        }
        if of_model is None:
            return Step(stage="units", seed=seed, settings=settings, inputs=self._inputs(recipe))
        return Step(
            stage="units2",
            encoder=of_model.encoder,
            seed=seed,
            needs={"model": of_model.id},
            settings={**settings, "layer": recipe.second.layer},
            inputs=self._inputs(recipe),
        )

    def _of_encoder(self, encoder: str, seed: int) -> Iterator[Step]:
        """All steps of an encoder and a seed."""
        recipe = self._recipe(encoder, seed)
        units = self._units(seed)
        first = self._pretrain("pretrain", recipe, encoder, seed, units)
        yield first
        trained = first
        if recipe.iterations == 2:
            units = self._units(seed, first)
            trained = self._pretrain("pretrain2", recipe, encoder, seed, units)
            yield from (units, trained)
        for plan in self.request.plans():
            model = trained
            for step in self._quantized(plan, trained, units, recipe):
                yield step
                model = step
            yield from self._of_model(model, plan, trained, recipe)
        random = {"upstream": UNTRAINED, "model": to_dict(recipe.model, without_later=True)}
        for tasks in self.served.groups:
            yield self._score(tasks, encoder, UNTRAINED, seed, random)

    def _pretrain(
        self, stage: str, recipe: RecipeConfig, encoder: str, seed: int, units: Step
    ) -> Step:
        chosen = recipe.stage(2 if stage == "pretrain2" else 1)
        described = to_dict(chosen, without_later=True)
        for name in ("corpus", "iterations", "second", "fraction", "memory_gb", "resplit"):
            del described[name]
        del described["train"]["machine"]
        described["units"] = None  # those of the step that it needs
        return Step(
            stage=stage,
            encoder=encoder,
            plan=FLOAT_PLAN,
            seed=seed,
            needs={"units": units.id},
            settings={"recipe": described, **self._common()},
            inputs={**self._inputs(recipe), "units": chosen.units},
        )

    def _quantized(
        self, plan: Plan, trained: Step, units: Step, recipe: RecipeConfig
    ) -> Iterator[Step]:
        """The stages of a plan; none for a plan in float."""
        if not plan.rules:
            return
        wheres = {plan_named(where).name: where for where in self.request.scale.plans}
        names = [*filter(None, [FIRST_STAGES.get(plan.name)]), plan.name]
        teacher = trained
        for i, name in enumerate(names):
            where = wheres.get(name, name)
            last = len(self.request.scale.quantize_steps) - 1
            config, alone = (
                self.request.scale.quantize(where, trained.seed or 0, stage=at, train=recipe.train)
                for at in (i if len(names) > 1 else last, last)
            )
            # A first stage that the plan itself would train in the same way is one step with it.
            is_shared = name == plan.name or config == alone
            described = to_dict(config, without_later=True)
            del described["plans"], described["train"]["machine"]
            step = Step(
                stage="quantize",
                encoder=trained.encoder,
                plan=name if is_shared else f"{name}-for-{plan.name}",
                seed=trained.seed,
                needs={"teacher": teacher.id, "units": units.id},
                settings={
                    "config": described,
                    "rules": plan_named(where).described(),
                    **self._common(),
                },
                inputs={**self._inputs(recipe), "plan": where},
            )
            yield step
            teacher = step

    def _of_model(
        self, model: Step, plan: Plan, trained: Step, recipe: RecipeConfig
    ) -> Iterator[Step]:
        """Scores, propagation, program and times of one trained model."""
        scale, seed = self.request.scale, model.seed or 0
        encoder = str(model.encoder)
        inputs = self._inputs(recipe)
        named: dict[str, Any] = {"encoder": encoder, "plan": plan.name, "seed": seed}
        export = Step(
            stage="export",
            needs={"model": model.id},
            settings=self._common(),
            inputs=inputs,
            **named,
        )
        yield export
        if plan.rules:
            yield Step(
                stage="propagation",
                needs={"model": model.id, "teacher": trained.id},
                settings={
                    "clips": scale.propagation_clips,
                    "seconds": scale.propagation_s,
                    **self._common(),
                },
                inputs=inputs,
                **named,
            )
        for tasks in self.served.groups:
            score = self._score(tasks, encoder, plan.name, seed, {}, model)
            yield score
            yield Step(
                stage="packed",
                task=score.task,
                needs={"scores": score.id, "program": export.id},
                settings={"resplit": self.request.resplit},
                inputs=score.inputs,
                parts=score.parts,
                **named,
            )
        if seed == self.request.seed:
            yield self._times(export, trained, plan)

    def _times(self, export: Step, trained: Step, plan: Plan) -> Step:
        scale = self.request.scale
        is_float = not plan.rules
        return Step(
            stage="times",
            encoder=export.encoder,
            plan=plan.name,
            seed=export.seed,
            needs={"program": export.id, "float": trained.id},
            settings={
                "seconds": scale.seconds,
                "threads": 1,
                "n_runs": scale.n_runs,
                "engines": list(scale.engines) if is_float else ["torch"],
                # Measured again on another machine.
                "machine": [cpu_name(), chosen_isa()],
            },
            is_alone=True,
        )

    def _score(
        self,
        tasks: list[str],
        encoder: str,
        plan: str,
        seed: int,
        upstream: Mapping[str, Any],
        model: Step | None = None,
    ) -> Step:
        scale = self.request.scale
        machine = self._recipe(scale.encoders[0], seed).train.machine
        return Step(
            stage="score",
            encoder=encoder,
            plan=plan,
            seed=seed,
            task=" ".join(tasks),
            needs={} if model is None else {"model": model.id},
            settings={
                **upstream,
                "corpus": self.served.digest_of[tasks[0]],
                "resplit": self.request.resplit,
                "protocol": scale.protocol,
                "n_steps": scale.head_steps,
                "heads": {name: dict(changes) for name, changes in scale.heads.items()},
            },
            inputs={
                "places": {task: self.served.place_of[task] for task in tasks},
                "device": machine.device,
            },
            parts=tuple(tasks),
        )

    def _costs(self, encoder: str) -> Iterator[Step]:
        scale = self.request.scale
        model = to_dict(self._recipe(encoder, self.request.seed).model, without_later=True)
        wheres = {plan_named(where).name: where for where in scale.plans}
        for plan in self.request.plans():
            yield Step(
                stage="cost",
                encoder=encoder,
                plan=plan.name,
                settings={"model": model, "rules": plan.described(), "seconds": scale.seconds},
                inputs={"plan": wheres[plan.name]},
            )
        yield Step(stage="lengths", encoder=encoder, settings={"model": model})


@functools.cache
def _labels_digest(units: str) -> str:
    """Digest of the labels in a folder of units, read once."""
    return units_in(Path(units)).digest
