"""Whether errors of different kinds of module add up in trained encoders: the paper's hypothesis.

    python benchmarks/error_propagation.py --out DIR [--corpus synthetic] [--seeds 0 1 2]
        [--pretrain-steps 300] [--steps 200] [--json FILE or -]

Four encoders of one depth and width (3 layers of 64) are pre-trained as in
`earbit study --scale tiny`; then quantized under W1A1, without training and with, and compared
with full precision as `earbit propagation` does.  What is printed is explained in docs/errors.md.
Goes on where it was killed.  Ends with an error where the encoders have learned nothing, or figures
do not add up.
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

from earbit.load import load_model
from earbit.pretrain.corpus import decoded_corpus, training_data
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.verb import pretrain_on
from earbit.quantize.propagation.parts import LAYERS
from earbit.quantize.propagation.verb import errors_of_models
from earbit.quantize.stages import quantize_on
from earbit.study.scale import SCALES, Scale
from earbit.units.labels import UnitLabels
from report import machine, show

ENCODERS = ("hubert-tiny", "sparseformer-dn-tiny", "conformer-tiny", "squeezeformer-tiny")
N_LAYERS, D_MODEL, D_FFN = 3, 64, 256
FIGURES = ("excess_db", "parts_db", "within_db", "between_db", "propagation_db")
COHERENCE = ("coherence_between", "coherence_within")
"""Of the mixed stack less that of attention alone, both beyond independent noise."""
SUM_TOLERANCE_DB = 1e-6


def recipe_of(encoder: str, scale: Scale, corpus: str, seed: int) -> RecipeConfig:
    recipe = scale.recipe(encoder, corpus, seed)
    same = dataclasses.replace(
        recipe.model.encoder, n_layers=N_LAYERS, d_model=D_MODEL, d_ffn=D_FFN
    )
    return dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, encoder=same))


def run(scale: Scale, corpus_where: str, seed: int, out: Path) -> dict[str, list[dict[str, Any]]]:
    """Comparisons of a mixed with an attention-only encoder, without and with training."""
    corpus, waveforms = decoded_corpus(corpus_where, out)
    units = out / f"units-{seed}"
    data = training_data(corpus, waveforms, units, n_units=scale.n_units, seed=seed)
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
        way: [
            one | {side: name_of(one[side]) for side in ("mixed", "attention_only")}
            for one in errors["comparisons"]
        ]
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
        for part, states in (model["states"] | model["independent"]).items():
            if any(state["noise_to_signal"] is None for state in states):
                raise SystemExit(f"{model['name']}: a state without a finite error with {part}")
        # What the comparison is made from; with a front end quantized too, none may be left.
        for states in (model["states"], model["independent"]):
            if states[LAYERS][-1]["log_error"] is None:
                raise SystemExit(f"{model['name']}: nothing is left of the signal; no comparison")
    for one in errors["comparisons"]:
        parts = [one[name] for name in ("parts_db", "within_db", "between_db")]
        if None in (*parts, one["excess_db"]):
            raise SystemExit(f"{one['mixed']} over {one['attention_only']}: undefined figures")
        if abs(math.fsum(parts) - one["excess_db"]) > SUM_TOLERANCE_DB:
            raise SystemExit(
                f"{one['mixed']} over {one['attention_only']}: parts add up to "
                f"{math.fsum(parts):.6f} dB, the excess is {one['excess_db']:.6f} dB"
            )


def name_of(where: str) -> str:
    return Path(where).parent.name.split("-")[0]


def table(results: list[dict[str, list[dict[str, Any]]]]) -> list[str]:
    lines = ["dB of a mixed stack over attention alone; coherence beyond independent noise"]
    for way in results[0]:
        of_pairs = list(zip(*(result[way] for result in results), strict=True))
        lines.append(f"{way:<34}{'   '.join((*FIGURES, *COHERENCE))}")
        for seeds in of_pairs:
            pair = f"{seeds[0]['mixed']} over {seeds[0]['attention_only']}"
            cells = [spread([one[figure] for one in seeds], 1) for figure in FIGURES]
            cells += [spread([one[figure] for one in seeds], 2) for figure in COHERENCE]
            lines.append(f"  {pair:<32}{'   '.join(cells)}")
        lines.append(f"{way}, by encoder: c, of independent noise, beyond it")
        for name, sides in by_encoder(of_pairs).items():
            for which in ("between", "within"):
                cells = [
                    spread([one[source][which] for one in sides], 2)
                    for source in ("found", "independent", "controlled")
                ]
                lines.append(f"  {name + ', ' + which + ' kinds':<32}{'   '.join(cells)}")
    return lines


def by_encoder(of_pairs: list[tuple[dict[str, Any], ...]]) -> dict[str, list[dict[str, Any]]]:
    """The coherence of every encoder, of all seeds; a stack is in several pairs, alike in each."""
    return {
        seeds[0][side]: [one[f"{side}_coherence"] for one in seeds]
        for seeds in of_pairs
        for side in ("mixed", "attention_only")
    }


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
    parser.add_argument("--steps", type=int, default=SCALES["tiny"].quantize_steps)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scale = dataclasses.replace(
        SCALES["tiny"], pretrain_steps=options.pretrain_steps, quantize_steps=options.steps
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
