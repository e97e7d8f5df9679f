"""Commands that make models: corpora, units, pre-training, quantization, the whole study."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from earbit.cli.arguments import Option, Positional
from earbit.cli.options import (
    PLANS_ARE,
    PRESETS_ARE,
    Corpus,
    Json,
    Model,
    Resplit,
    Seed,
    Settings,
)
from earbit.errors import UnsupportedError
from earbit.output import emit, goes_on, print_json, print_text
from earbit.superb.tasks import TASKS


def study(
    corpus: Corpus = "synthetic",
    scale: Annotated[
        Literal["tiny"], Option("", "Amount of training; tiny takes minutes on two cores.")
    ] = "tiny",
    encoders: Annotated[tuple[str, ...], Option("PRESET", f"Models to compare. {PRESETS_ARE}")] = (
        "hubert-tiny",
        "sparseformer-dn-tiny",
    ),
    out: Annotated[Path, Option("DIR", "Folder for all results.")] = Path("earbit-study"),
    seed: Seed = 0,
    resplit: Resplit = False,
) -> None:
    """Compares encoders end to end: pre-train, quantize, profile, evaluate, export, measure.

      earbit study --out study
      earbit study --corpus my-audio --encoders hubert-tiny conformer-tiny --out study

    The corpus needs `keyword` labels for the evaluation (docs/corpus.md).  The same command resumes
    after an interruption.  Results: OUT/results.json and OUT/report.html.
    """
    from earbit.study.run import run_study

    with goes_on(out):
        report = run_study(corpus, encoders, scale=scale, out_dir=out, seed=seed, resplit=resplit)
    print_text(report)


def prepare(
    corpus: Annotated[
        str,
        Positional("KIND", "'folder', with --root, or 'synthetic'."),
    ],
    out: Annotated[Path, Option("DIR", "Folder for the results.")],
    root: Annotated[
        Path | None,
        Option(
            "DIR",
            "Folder of audio, with or without manifest.jsonl (docs/corpus.md).",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        Option(
            "FILE.csv",
            "Make manifest.jsonl in --root from this table, with the columns path, speaker, "
            "keyword, text, split (docs/corpus.md).",
        ),
    ] = None,
) -> None:
    """Validates a corpus: its contents, unreadable files, and the tasks that its labels serve.

      earbit prepare folder --root my-audio --out prepared
      earbit prepare folder --root my-audio --labels labels.csv --out prepared

    Results: OUT/manifest.json, OUT/quarantine.jsonl.
    """
    from earbit.audio.prepare import corpus_of
    from earbit.audio.prepare import prepare as prepare_corpus

    needs = {task.name: task.label for task in TASKS.values()}
    print_json(prepare_corpus(corpus_of(corpus, root, labels), out, needs=needs, labels=labels))


def units(
    corpus: Annotated[str, Positional("CORPUS", "'synthetic', or a folder of audio.")],
    out: Annotated[Path, Option("DIR", "Folder for units, labels and figures.")],
    feature: Annotated[Literal["mfcc"], Option("", "Features to cluster.")] = "mfcc",
    n_units: Annotated[int, Option("N", "Number of k-means clusters.")] = 100,
    seed: Seed = 0,
    resplit: Resplit = False,
) -> None:
    """Discovers acoustic units: features, k-means, a label per frame.  Result: OUT/units.json.

    earbit units my-audio --n-units 100 --out units
    """
    from earbit.units.labelled import discover, training_corpus

    opened, waveforms = training_corpus(corpus, out, resplit=resplit)
    print_json(discover(opened, waveforms, out, n_units=n_units, seed=seed))


def pretrain(
    recipe: Annotated[
        str,
        Positional(
            "RECIPE",
            f"A preset, a .py file with recipe(), or a saved config.json. {PRESETS_ARE}",
        ),
    ],
    out: Annotated[Path, Option("DIR", "Folder of this run alone; the same command resumes it.")],
    set: Annotated[
        tuple[str, ...],
        Option(
            "KEY=VALUE",
            "Changes the recipe, as train.optimiser.n_steps=500 corpus=DIR. Can be repeated.",
        ),
    ] = (),
) -> None:
    """Pre-trains a model by masked prediction of units.  Result: OUT/model.safetensors, log.jsonl.

      earbit pretrain hubert-tiny --set corpus=my-audio --out float

    --set changes every field of OUT/config.json; units=DIR takes the units of `earbit units`.
    """
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        raise UnsupportedError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']}: training with several processes is not "
            "supported yet; start it without torchrun"
        )
    from earbit.pretrain.recipe import load_recipe
    from earbit.pretrain.verb import pretrain as pretrain_recipe

    with goes_on(out):
        print_json(pretrain_recipe(load_recipe(recipe, set), out))


def import_(
    source: Annotated[
        Path,
        Positional("SOURCE", "Hugging Face folder of a HuBERT, with model.safetensors."),
    ],
    out: Annotated[Path, Option("DIR", "Folder of the imported model.")],
    json: Json = None,
) -> None:
    """Imports a model of another program.  Result: OUT/model.safetensors.

      earbit import hubert-base-ls960 --out hubert
      earbit export hubert --plan w8a8 --out hubert-w8a8.safetensors

    Nothing in the source is executed.  Hidden states equal those of transformers for single clips.
    """
    from earbit.hub.verb import import_model

    result = import_model(source, out)
    text = (
        f"{result['format']}: {result['n_layers']} layers of width {result['width']}, "
        f"{result['parameters']:,} parameters\nthe model is {result['model']}"
    )
    emit(result, json, text)


def quantize(
    model: Model,
    out: Annotated[Path, Option("DIR", "Folder of this run alone; the same command resumes it.")],
    plan: Annotated[
        tuple[str, ...],
        Option("PLAN", f"One plan per stage, in order. {PLANS_ARE}"),
    ] = ("w1a2", "w1a1"),
    corpus: Corpus = "synthetic",
    n_steps: Annotated[
        tuple[int, ...],
        Option("N", "Training steps of every stage, or one number per stage."),
    ] = (300,),
    seed: Seed = 0,
    resplit: Resplit = False,
    set: Settings = (),
    json: Json = None,
) -> None:
    """Quantizes a model: calibration, then quantization-aware training with distillation.

    Each plan is a stage; its model is the teacher and the start of the next stage.  Without --plan
    there are two: full precision teaches w1a2, which teaches w1a1 (multi-distillation).

      earbit quantize float --corpus my-audio --out onebit
      earbit quantize float --corpus my-audio --plan w1a1-encoder --out onebit
      earbit quantize float --corpus my-audio --plan w4a4 w1a1 --n-steps 300 600 --out onebit

    Plans, and how to write one: docs/quantization.md.

    Results: OUT/model.safetensors, OUT/result.json (figures) and OUT/leaves.txt (precision of every
    leaf).  OUT/1-w1a2 and OUT/2-w1a1 are the stages, each with model.safetensors, log.jsonl,
    leaves.txt and checkpoints.  OUT/config.json has all fields that --set changes, as in --set
    weights.logits=1 calibration.scale=least-squares train.optimiser.peak_lr=5e-4.

    The same command resumes after an interruption, bit for bit; a different one is refused.
    """
    from earbit.quantize.report import render
    from earbit.quantize.verb import quantize as quantize_model

    settings = set
    with goes_on(out):
        result = quantize_model(
            model,
            plan,
            corpus,
            out,
            n_steps=n_steps,
            seed=seed,
            settings=settings,
            resplit=resplit,
        )
    emit(result, json, render(result, str(out)))
