"""What one bit keeps of a model: trained on units alone, by a teacher, and from teacher to teacher.

    python benchmarks/multi_distillation.py --out DIR [--corpus synthetic] [--seeds 0 1 2]
        [--encoders hubert-tiny ...] [--steps 400] [--json FILE or -]

For every encoder and seed: full precision (pre-trained as in `earbit study --scale tiny`), then
W1A1 from it with the same number of steps in three ways.  `units`: no teacher.  `direct`: the
full-precision model as teacher too.  `multi`: half of the steps in W1A2, whose student is the
teacher of W1A1.  Scored by masked units of the validation part and by keyword spotting on frozen
features.
Goes on where it was killed; results of finished runs are read back.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import torch

from earbit.pretrain.corpus import decoded_corpus, training_data
from earbit.pretrain.verb import pretrain_on
from earbit.quantize.load import load_model
from earbit.quantize.train import LossWeights
from earbit.quantize.verb import BinarizeConfig, binarize_on
from earbit.study.scale import SCALES
from earbit.superb.verb import score_on
from report import machine, show

ENCODERS = ("hubert-tiny", "conformer-tiny", "squeezeformer-tiny", "sparseformer-dn-tiny")
SCALE = SCALES["tiny"]


def ways(n_steps: int, seed: int) -> dict[str, BinarizeConfig]:
    """By name; every one takes `n_steps` in all."""
    whole = dataclasses.replace(SCALE, binarize_steps=n_steps).binarize("w1a1", seed)
    half = dataclasses.replace(SCALE, binarize_steps=n_steps // 2).binarize("w1a1", seed)
    return {
        "units": dataclasses.replace(whole, weights=LossWeights(states=0.0, logits=0.0)),
        "direct": whole,
        "multi": dataclasses.replace(half, plans=("w1a2", "w1a1")),
    }


def run(
    corpus_where: str, encoder: str, seed: int, chosen: dict[str, BinarizeConfig], out: Path
) -> list[dict]:
    corpus, waveforms = decoded_corpus(corpus_where, out)
    folder = out / f"{encoder}-{seed}"
    data = training_data(corpus, waveforms, out / f"units-{seed}", n_units=SCALE.n_units, seed=seed)

    def scored(name: str, train: Any) -> dict[str, Any]:
        done = folder / name / "figures.json"
        if not done.exists():
            figures = train(folder / name)
            model = load_model(folder / name)
            score = score_on(
                model,
                corpus,
                waveforms,
                folder / name / "ks",
                n_steps=SCALE.head_steps,
                seed=seed,
            )
            row = {
                "encoder": encoder,
                "seed": seed,
                "way": name,
                "masked_accuracy": figures["valid_accuracy"],
                "keyword_accuracy": score["value"],
                "state_distance": figures.get("valid_state_distance"),
            }
            done.write_text(json.dumps(row))
        return json.loads(done.read_text())

    recipe = SCALE.recipe(encoder, corpus_where, seed)
    rows = [scored("fp32", lambda into: pretrain_on(recipe, data, into))]
    teacher = load_model(folder / "fp32")
    for name, config in chosen.items():
        rows.append(scored(name, partial(binarize_on, teacher, config, data)))
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [f"{'':<34} masked units        keywords"]
    for encoder in dict.fromkeys(row["encoder"] for row in rows):
        for way in dict.fromkeys(row["way"] for row in rows):
            these = [r for r in rows if (r["encoder"], r["way"]) == (encoder, way)]
            cells = []
            for figure in ("masked_accuracy", "keyword_accuracy"):
                values = [100 * r[figure] for r in these]
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                cells.append(f"{statistics.mean(values):5.1f} +- {spread:4.1f} %")
            lines.append(f"{encoder:<22} {way:<8} n={len(these)}  {'   '.join(cells)}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus", default="synthetic")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--steps", type=int, default=400, help="of every way, in all")
    parser.add_argument("--ways", nargs="+", default=["units", "direct", "multi"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    def chosen(seed: int) -> dict[str, BinarizeConfig]:
        return {n: c for n, c in ways(options.steps, seed).items() if n in options.ways}

    rows = [
        row
        for seed in options.seeds
        for encoder in options.encoders
        for row in run(options.corpus, encoder, seed, chosen(seed), options.out)
    ]
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "corpus": options.corpus,
        "steps": options.steps,
        "rows": rows,
    }
    show(result, table(rows), options.json)


if __name__ == "__main__":
    main()
