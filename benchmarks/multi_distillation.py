"""What one bit keeps of a model: trained on units alone, by a teacher, and from teacher to teacher.

    python benchmarks/multi_distillation.py --out DIR [--corpus synthetic] [--seeds 0 1 2]
        [--encoders hubert-tiny ...] [--pretrain-steps 300] [--steps 400] [--json FILE or -]

For every encoder and seed: full precision (pre-trained as in `earbit study --scale tiny`, or for
longer: a model without units has none to lose), then W1A1 from it with the same number of steps in
three ways.  `units`: no teacher.  `direct`: the
full-precision model as teacher too.  `multi`: half of the steps in W1A2, whose student is the
teacher of W1A1.  Scored by masked units of the validation part and by keyword spotting on frozen
features.
Resumes after an interruption: finished runs are read, those of other settings are refused.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from earbit.config import to_dict
from earbit.load import load_model
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.verb import pretrain_on
from earbit.quantize.stages import QuantizeConfig, quantize_on
from earbit.quantize.train import LossWeights
from earbit.study.scale import SCALES, Scale
from earbit.superb.verb import score_model
from earbit.superb.work import Settings
from earbit.units.labelled import open_training_corpus, training_data
from report import machine, show

ENCODERS = ("hubert-tiny", "conformer-tiny", "squeezeformer-tiny", "sparseformer-dn-tiny")
# With the front end of HuBERT.
SCALE = dataclasses.replace(SCALES["tiny"], front_end=())


def ways(scale: Scale, seed: int) -> dict[str, QuantizeConfig]:
    """By name; every one takes as many steps in all."""
    one = dataclasses.replace(scale, quantize_steps=(sum(scale.quantize_steps),))
    whole = one.quantize("w1a1", seed)
    half = dataclasses.replace(scale, quantize_steps=(sum(scale.quantize_steps) // 2,))
    return {
        "units": dataclasses.replace(whole, weights=LossWeights(states=0.0, logits=0.0)),
        "direct": whole,
        "multi": dataclasses.replace(half.quantize("w1a1", seed), plans=("w1a2", "w1a1")),
    }


def run(
    encoder: str, recipe: RecipeConfig, chosen: dict[str, QuantizeConfig], out: Path
) -> list[dict[str, Any]]:
    """A row for full precision and one for every way that was chosen."""
    seed, folder = recipe.seed, out / f"{encoder}-{recipe.seed}"
    opened = open_training_corpus(recipe.corpus)
    data = training_data(recipe.corpus, opened, out / f"units-{seed}", recipe.unit_config)

    def scored(way: str, config: Any, train: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        settings = json.loads(json.dumps(to_dict(config)))
        done = folder / way / "figures.json"
        if not done.exists():
            figures = train(folder / way)
            (score,) = score_model(
                str(folder / way),
                ["ks"],
                [recipe.corpus],
                folder / way / "ks",
                settings=Settings(protocol="proxy", n_steps=SCALE.head_steps),
                seed=seed,
                has_rejection=False,
            )
            row = {
                "encoder": encoder,
                "seed": seed,
                "way": way,
                "masked_accuracy": figures["valid_accuracy"],
                "keyword_accuracy": score["value"],
                "state_distance": figures.get("valid_state_distance"),
                "settings": settings,
            }
            done.write_text(json.dumps(row))
        row = json.loads(done.read_text())
        if row["settings"] != settings:
            raise SystemExit(f"{done} has other settings; give another --out, or remove it")
        return row

    rows = [scored("fp32", recipe, lambda into: pretrain_on(recipe, data, into))]
    teacher = load_model(folder / "fp32")
    for way, config in chosen.items():
        rows.append(scored(way, config, partial(quantize_on, teacher, config, data)))
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
    parser.add_argument("--pretrain-steps", type=int, default=SCALE.pretrain_steps)
    parser.add_argument("--steps", type=int, default=400, help="of every way, in all")
    parser.add_argument("--ways", nargs="+", default=["units", "direct", "multi"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    scale = dataclasses.replace(
        SCALE, pretrain_steps=options.pretrain_steps, quantize_steps=(options.steps,)
    )

    rows = []
    for seed in options.seeds:
        chosen = {n: c for n, c in ways(scale, seed).items() if n in options.ways}
        for encoder in options.encoders:
            recipe = scale.recipe(encoder, options.corpus, seed)
            rows += run(encoder, recipe, chosen, options.out)
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "corpus": Path(options.corpus).name,
        "pretrain_steps": options.pretrain_steps,
        "steps": options.steps,
        "rows": [{k: v for k, v in row.items() if k != "settings"} for row in rows],
    }
    show(result, table(rows), options.json)


if __name__ == "__main__":
    main()
