"""Tests whether errors of modules of different roles add up in trained encoders.

    python benchmarks/error_propagation.py --out DIR [--corpus synthetic] [--seeds 0 1 2]
        [--pretrain-steps 300] [--steps 200] [--json FILE or -]

Four encoders of one depth and width (3 layers of 64) are pre-trained as in
`earbit study --scale tiny`; then quantized under W1A1, without training and with, and compared
with full precision as `earbit propagation` does.  docs/propagation.md explains the figures.
Resumes after interruption.  Fails if an encoder has learned nothing or figures do not add up.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earbit.config import override
from earbit.load import load_model
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.verb import pretrain_on
from earbit.quantize.propagation.verb import errors_of_models
from earbit.quantize.stages import quantize_on
from earbit.study.scale import SCALES, Scale
from earbit.units.discover import UnitConfig
from earbit.units.labelled import open_training_corpus, training_data
from earbit.units.labels import UnitLabels
from report import machine, show

ENCODERS = ("hubert-tiny", "sparseformer-dn-tiny", "conformer-tiny", "squeezeformer-tiny")
N_LAYERS, D_MODEL, D_FFN = 3, 64, 256
FIGURES = ("excess_db", "alone_db", "within_db", "between_db", "net_between_db")
COHERENCE = ("net_coherence_between", "net_coherence_within")
"""Of the mixed encoder less that of attention only, both net of independent noise."""
SUM_TOLERANCE_DB = 1e-6


def recipe_of(encoder: str, scale: Scale, corpus: str, seed: int) -> RecipeConfig:
    shape = {"n_layers": N_LAYERS, "d_model": D_MODEL, "d_ffn": D_FFN}
    settings = [f"model.encoder.{name}={value}" for name, value in shape.items()]
    return override(scale.recipe(encoder, corpus, seed), settings)


def run(scale: Scale, corpus_where: str, seed: int, out: Path) -> dict[str, dict[str, Any]]:
    """Comparisons and interactions of all encoders, without and with training."""
    config = UnitConfig(n_units=scale.n_units, seed=seed)
    opened = open_training_corpus(corpus_where)
    data = training_data(corpus_where, opened, out / f"units-{seed}", config)
    folders = {name: out / f"{name}-{seed}" for name in ENCODERS}
    for encoder, folder in folders.items():
        figures = pretrain_on(recipe_of(encoder, scale, corpus_where, seed), data, folder / "fp32")
        check_learned(encoder, figures["valid_accuracy"], commonest_share(data.labels))
        teacher = load_model(folder / "fp32")
        quantize_on(teacher, scale.quantize("w1a1", seed), data, folder / "w1a1")
    floats = [str(folder / "fp32") for folder in folders.values()]
    students = [str(folder / "w1a1") for folder in folders.values()]
    _, untrained = errors_of_models(
        floats, plan="w1a1", corpus=corpus_where, seed=seed, out_dir=out / f"untrained-{seed}"
    )
    _, trained = errors_of_models(
        students,
        teachers=floats,
        corpus=corpus_where,
        seed=seed,
        out_dir=out / f"trained-{seed}",
    )
    for errors in (untrained, trained):
        check_errors(errors)
    return {
        way: {
            "comparisons": [
                one | {side: name_of(one[side]) for side in ("mixed", "attention_only")}
                for one in errors["comparisons"]
            ],
            "interactions": {
                name_of(model["name"]): model["interaction"] for model in errors["models"]
            },
        }
        for way, errors in (("without training", untrained), ("with training", trained))
    }


def commonest_share(labels: UnitLabels) -> float:
    """The share of the commonest unit: what a model is right in that always says this one."""
    counts = sum(
        np.bincount(units, minlength=labels.n_units).astype(np.int64)
        for units in labels.by_id.values()
    )
    return float(np.max(counts) / np.sum(counts))


def check_learned(name: str, accuracy: float, commonest: float) -> None:
    """SystemExit for a full-precision model whose errors mean nothing, since it learned nothing."""
    if not accuracy > commonest:
        raise SystemExit(
            f"{name}: {accuracy:.1%} of masked units are right in full precision, and the commonest"
            f" unit is {commonest:.1%} of all; give more --pretrain-steps"
        )


def check_errors(errors: dict[str, Any]) -> None:
    """SystemExit unless there is a comparison, all errors are finite and every excess adds up."""
    if not errors["comparisons"]:
        raise SystemExit("no encoder was compared with another; nothing is printed")
    for model in errors["models"]:
        for name, states in model["states"].items():
            if any(state["noise_to_signal"] is None for state in states):
                raise SystemExit(f"{model['name']}: a state without a finite error with {name}")
        # The comparison needs it; without a float front end, no signal may be left.
        if model["states"]["layers"][-1]["log_error"] is None:
            raise SystemExit(f"{model['name']}: nothing is left of the signal; no comparison")
    for one in errors["comparisons"]:
        parts = [one[name] for name in ("alone_db", "within_db", "between_db")]
        if None in (*parts, one["excess_db"]):
            raise SystemExit(f"{one['mixed']} over {one['attention_only']}: undefined figures")
        if abs(math.fsum(parts) - one["excess_db"]) > SUM_TOLERANCE_DB:
            raise SystemExit(
                f"{one['mixed']} over {one['attention_only']}: parts add up to "
                f"{math.fsum(parts):.6f} dB, the excess is {one['excess_db']:.6f} dB"
            )


def name_of(where: str) -> str:
    return Path(where).parent.name.split("-")[0]


def table(results: list[dict[str, dict[str, Any]]]) -> list[str]:
    lines = ["dB of a mixed encoder over attention only; coherence net of independent noise"]
    for way in results[0]:
        lines.append(f"{way:<34}{'   '.join((*FIGURES, *COHERENCE))}")
        for seeds in zip(*(result[way]["comparisons"] for result in results), strict=True):
            pair = f"{seeds[0]['mixed']} over {seeds[0]['attention_only']}"
            cells = [spread([one[figure] for one in seeds], 1) for figure in FIGURES]
            cells += [spread([one[figure] for one in seeds], 2) for figure in COHERENCE]
            lines.append(f"  {pair:<32}{'   '.join(cells)}")
        lines.append(f"{way}, by encoder: coherence, of independent noise, net")
        for name in results[0][way]["interactions"]:
            for which in ("between", "within"):
                found = [result[way]["interactions"][name][which] for result in results]
                cells = [
                    spread([one[figure] for one in found], 2)
                    for figure in ("coherence", "noise_coherence", "net_coherence")
                ]
                lines.append(f"  {name + ', ' + which + ' roles':<32}{'   '.join(cells)}")
    return lines


def spread(values: list[float | None], digits: int) -> str:
    """Every seed's, and their mean; `-` where one is undefined."""

    def text(value: float) -> str:
        # No zero is negative.
        return f"{round(value, digits) + 0.0:.{digits}f}"

    each = ", ".join("-" if v is None else text(v) for v in values)
    known = [v for v in values if v is not None]
    return f"{text(statistics.mean(known))} ({each})" if known else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus", default="synthetic")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pretrain-steps", type=int, default=SCALES["tiny"].pretrain_steps)
    parser.add_argument("--steps", type=int, default=sum(SCALES["tiny"].quantize_steps))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scale = dataclasses.replace(
        SCALES["tiny"],
        front_end=(),  # that of HuBERT
        pretrain_steps=options.pretrain_steps,
        quantize_steps=(options.steps,),
    )
    results = [run(scale, options.corpus, seed, options.out) for seed in options.seeds]
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "corpus": Path(options.corpus).name,
        "pretrain_steps": options.pretrain_steps,
        "steps": options.steps,
        "seeds": options.seeds,
        "results": results,
    }
    show(result, table(results), options.json)


if __name__ == "__main__":
    main()
