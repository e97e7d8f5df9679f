"""Verbs that make models: from sound to units, a trained model, a quantized one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from earbit.cli.options import (
    NO_DEFAULT,
    PLANS_ARE,
    PRESETS_ARE,
    Corpus,
    Json,
    Model,
    Seed,
    Settings,
    flat,
)
from earbit.errors import UnsupportedError
from earbit.output import emit, goes_on, print_json


def study(
    corpus: Corpus = "synthetic",
    scale: Annotated[
        Literal["tiny"], arg(help="Steps of training; tiny ends in minutes on two cores.")
    ] = "tiny",
    encoders: Annotated[
        tuple[str, ...], arg(metavar="PRESET ...", help=f"What is compared. {PRESETS_ARE}")
    ] = ("hubert-tiny", "sparseformer-dn-tiny"),
    out: Annotated[Path, arg(metavar="DIR", help="A folder for everything.")] = Path(
        "earbit-study"
    ),
    seed: Seed = 0,
) -> None:
    """The whole comparison: pre-train, quantize, cost, score, export, measure, report.

    A corpus needs `keyword` labels, which the score is made from (docs/corpus.md).  Started again
    after a kill, it goes on where it was.  Results: OUT/results.json and report.html.
    """
    from earbit.study.run import run_study

    with goes_on(out):
        report = run_study(corpus, encoders, scale=scale, out_dir=out, seed=seed)
    print(report)


def prepare(
    corpus: Annotated[
        Positional[str],
        arg(metavar="KIND", help="The word 'folder', and --root says which; or 'synthetic'."),
    ],
    out: Annotated[Path, arg(metavar="DIR", help="A folder for what was found.")],
    root: Annotated[
        Path | None,
        arg(
            metavar="DIR",
            help="The folder of audio, with or without manifest.jsonl (docs/corpus.md).",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
) -> None:
    """Looks a corpus over: what is in it, what is broken, which tasks its labels serve.

      earbit prepare folder --root my-audio --out looked-over

    Results: OUT/manifest.json, OUT/quarantine.jsonl.
    """
    from earbit.audio.prepare import corpus_of
    from earbit.audio.prepare import prepare as prepare_corpus

    print_json(prepare_corpus(corpus_of(corpus, root), out))


def units(
    corpus: Annotated[
        Positional[str], arg(metavar="CORPUS", help="'synthetic', or a folder of audio.")
    ],
    out: Annotated[Path, arg(metavar="DIR", help="A folder for units, labels and figures.")],
    feature: Annotated[Literal["mfcc"], arg(help="What is clustered.")] = "mfcc",
    n_units: Annotated[int, arg(metavar="N", help="Clusters of k-means.")] = 100,
    seed: Seed = 0,
) -> None:
    """Acoustic units: features, k-means, a label per frame.  Results: OUT/units.json and files."""
    from earbit.pretrain.corpus import decoded_corpus, discover

    opened, waveforms = decoded_corpus(corpus, out)
    print_json(discover(opened, waveforms, out, n_units=n_units, seed=seed))


def pretrain(
    recipe: Annotated[
        Positional[str],
        arg(
            metavar="RECIPE",
            help=f"A preset; or a .py file with recipe(), or a saved config.json. {PRESETS_ARE}",
        ),
    ],
    out: Annotated[
        Path, arg(metavar="DIR", help="A folder of this run alone; the same command resumes it.")
    ],
    set: Annotated[
        Settings,
        arg(
            metavar="KEY=VALUE ...",
            help="Changes the recipe, as train.optimiser.n_steps=500 corpus=DIR.",
        ),
    ] = (),
) -> None:
    """Masked prediction of units; resumes by itself.  Results: OUT/model.safetensors, log.jsonl.

      earbit pretrain hubert-tiny --set corpus=my-audio --out float

    Every field of OUT/config.json can be set; units=DIR takes the units of `earbit units`.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UnsupportedError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']}: training on several processes does not exist "
            "yet; start it without torchrun"
        )
    from earbit.pretrain.recipe import load_recipe
    from earbit.pretrain.verb import pretrain as pretrain_recipe

    with goes_on(out):
        print_json(pretrain_recipe(load_recipe(recipe, flat(set)), out))


def quantize(
    model: Model,
    out: Annotated[Path, arg(metavar="DIR", help="A folder of this run alone.")],
    plan: Annotated[
        tuple[str, ...],
        arg(metavar="PLAN ...", help=f"One for each stage, in order. {PLANS_ARE}"),
    ] = ("w1a2", "w1a1"),
    corpus: Corpus = "synthetic",
    n_steps: Annotated[
        tuple[int, ...],
        arg(metavar="N ...", help="Steps of training in every stage; or a number for each."),
    ] = (300,),
    seed: Seed = 0,
    set: Annotated[
        Settings,
        arg(metavar="KEY=VALUE ...", help="Changes fields of OUT/config.json, see above."),
    ] = (),
    json: Json = None,
) -> None:
    """Fewer bits: calibrate, then train with quantization in it.  Result: OUT/model.safetensors.

    Each plan is a stage, the teacher and the start of the next one.  Without --plan there are two:
    full precision teaches w1a2, and that teaches w1a1 (multi-distillation).

      earbit quantize float --corpus my-audio --out onebit
      earbit quantize float --corpus my-audio --plan w1a1-encoder --out onebit
      earbit quantize float --corpus my-audio --plan w4a4 w1a1 --n-steps 300 600 --out onebit

    What plans do, and how to write one: docs/quantization.md.

    OUT/config.json has all fields that --set changes, as in --set weights.logits=1
    calibration.scale=least-squares train.optimiser.peak_lr=5e-4 granularity=tensor.
    OUT/1-w1a2 and OUT/2-w1a1 are the stages, each with its model.safetensors, log.jsonl,
    leaves.txt and checkpoints.  OUT/result.json has the figures, OUT/leaves.txt what became of
    every leaf.  The same command goes on after a kill, to the same bits; another one is refused.
    """
    from earbit.quantize.report import render
    from earbit.quantize.verb import quantize as quantize_model

    settings = flat(set)
    with goes_on(out):
        result = quantize_model(
            model, plan, corpus, out, n_steps=n_steps, seed=seed, settings=settings
        )
    emit(result, json, render(result, str(out)))
