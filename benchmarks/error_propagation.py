"""Whether errors of different kinds of module add up in trained encoders: the paper's hypothesis.

    python benchmarks/error_propagation.py --out DIR [--corpus synthetic] [--seeds 0 1 2]
        [--pretrain-steps 300] [--steps 200] [--json FILE or -]

Four encoders of one depth and width (3 layers of 64) are pre-trained as in
`earbit study --scale tiny`; then quantized under W1A1, without training and with, and compared
with full precision as `earbit errors` does.  What is printed is explained in docs/errors.md.
Goes on where it was killed.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import torch

from earbit.pretrain.corpus import decoded_corpus, training_data
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.verb import pretrain_on
from earbit.quantize.load import load_model
from earbit.quantize.propagation.verb import errors_of_models
from earbit.quantize.stages import binarize_on
from earbit.study.scale import SCALES, Scale
from report import machine, show

ENCODERS = ("hubert-tiny", "sparseformer-dn-tiny", "conformer-tiny", "squeezeformer-tiny")
N_LAYERS, D_MODEL, D_FFN = 3, 64, 256
FIGURES = ("excess_db", "parts_db", "within_db", "between_db", "propagation_db")
COHERENCE = "coherence_between"


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
        pretrain_on(recipe_of(encoder, scale, corpus_where, seed), data, folder / "fp32")
        teacher = load_model(folder / "fp32")
        binarize_on(teacher, scale.binarize("w1a1", seed), data, folder / "w1a1")
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
    return {
        way: [
            one | {side: name_of(one[side]) for side in ("mixed", "attention_only")}
            for one in errors["comparisons"]
        ]
        for way, errors in (("without training", untrained), ("with training", trained))
    }


def name_of(where: str) -> str:
    return Path(where).parent.name.split("-")[0]


def table(results: list[dict[str, list[dict[str, Any]]]]) -> list[str]:
    lines = ["dB of a mixed stack over attention alone, and the coherence between kinds"]
    for way in results[0]:
        lines.append(f"{way:<34}{'   '.join(FIGURES)}   {COHERENCE}")
        of_seeds = [result[way] for result in results]
        for same_pair in zip(*of_seeds, strict=True):
            pair = (
                f"{name_of(same_pair[0]['mixed'])} over {name_of(same_pair[0]['attention_only'])}"
            )
            cells = [spread([one[figure] for one in same_pair], 1) for figure in FIGURES]
            cells.append(spread([one[COHERENCE] for one in same_pair], 2))
            lines.append(f"  {pair:<32}{'   '.join(cells)}")
    return lines


def spread(values: list[float | None], digits: int) -> str:
    """Every seed's, and their mean; `-` where one is undefined."""
    each = ", ".join("-" if v is None else f"{v:.{digits}f}" for v in values)
    known = [v for v in values if v is not None]
    return f"{statistics.mean(known):.{digits}f} ({each})" if known else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus", default="synthetic")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pretrain-steps", type=int, default=SCALES["tiny"].pretrain_steps)
    parser.add_argument("--steps", type=int, default=SCALES["tiny"].binarize_steps)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scale = dataclasses.replace(
        SCALES["tiny"], pretrain_steps=options.pretrain_steps, binarize_steps=options.steps
    )
    results = [run(scale, options.corpus, seed, options.out) for seed in options.seeds]
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "corpus": Path(options.corpus).name,
        "pretrain_steps": options.pretrain_steps,
        "steps": options.steps,
        "seeds": options.seeds,
        "results": [{way: one["comparisons"] for way, one in result.items()} for result in results],
    }
    show(result, table(results), options.json)


if __name__ == "__main__":
    main()
