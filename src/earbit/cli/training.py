"""Commands that make models: corpora, units, pre-training, quantization, study."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

from earbit.audio.corpus_names import require_corpus
from earbit.cli.arguments import Option, Positional
from earbit.cli.names import check_models, check_recipe
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
from earbit.corpora.table import CORPORA, published_named
from earbit.errors import ConfigError, require_range
from earbit.output import emit, for_terminal, goes_on, print_text
from earbit.presets import require_preset
from earbit.progress import say
from earbit.superb.tasks import TASKS


def study(
    corpus: Corpus = "synthetic",
    scale: Annotated[
        Literal["tiny"], Option("", "Amount of training. tiny takes minutes on two cores.")
    ] = "tiny",
    encoders: Annotated[tuple[str, ...], Option("PRESET", f"Presets to compare. {PRESETS_ARE}")] = (
        "hubert-tiny",
        "sparseformer-dn-tiny",
    ),
    out: Annotated[Path, Option("DIR", "Output folder.")] = Path("earbit-study"),
    seed: Seed = 0,
    resplit: Resplit = False,
) -> None:
    """Runs the full comparison: pre-trains, quantizes, evaluates, exports and times encoders.

      earbit study --out study
      earbit study --corpus my-audio --encoders hubert-tiny conformer-tiny --out study

    The corpus needs `keyword` labels for the evaluation (docs/corpus.md).  The same command resumes
    an interrupted study.  Results: OUT/results.json and OUT/report.html.
    """
    require_corpus(corpus)
    for encoder in encoders:
        require_preset(encoder)
    from earbit.study.run import run_study

    with goes_on(out):
        report = run_study(corpus, encoders, scale=scale, out_dir=out, seed=seed, resplit=resplit)
    print_text(report)


def prepare(
    corpus: Annotated[
        str,
        Positional(
            "KIND",
            "'folder' (with --root), 'synthetic', or a corpus as distributed (with --root): "
            f"{', '.join(CORPORA)}.",
        ),
    ],
    out: Annotated[Path, Option("DIR", "Output folder.")],
    root: Annotated[
        Path | None,
        Option(
            "DIR",
            "Folder of audio, with or without manifest.jsonl, or of a corpus as distributed "
            "(docs/corpus.md).",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        Option(
            "FILE.csv",
            "Table of labels, from which manifest.jsonl is made in --root. The first line names "
            "the columns: path, and any of speaker, keyword, text, split and others "
            "(docs/corpus.md).",
        ),
    ] = None,
    shards: Annotated[
        float | None,
        Option(
            "MB",
            "Also write the usable files to OUT/shards, in archives of about this size "
            "(Lhotse Shar).",
        ),
    ] = None,
    resplit: Resplit = False,
    json: Json = None,
) -> None:
    """Validates a corpus: lists its contents, unusable files and the tasks that can use its labels.

      earbit prepare folder --root my-audio --out prepared
      earbit prepare folder --root my-audio --labels labels.csv --out prepared
      earbit prepare librispeech --root LibriSpeech --out librispeech
      earbit prepare librispeech --root LibriSpeech --shards 500 --out librispeech

    Results: OUT/manifest.json, OUT/quarantine.jsonl.  For a corpus as distributed, OUT becomes a
    corpus with manifest.jsonl and a link to the audio, and is the --data of `earbit superb`.
    """
    published = published_named(corpus, root, labels)
    if corpus == "folder" and root is not None:
        require_corpus(root)
    from earbit.audio.prepare import corpus_of, render_prepared
    from earbit.audio.prepare import prepare as prepare_corpus
    from earbit.run_folder import check_kind
    from earbit.superb.verb import work_on

    tasks = {task.name: functools.partial(work_on, task) for task in TASKS.values()}
    if published is not None and root is not None:
        from earbit.corpora.prepare import prepare_published

        report = prepare_published(published, root, out, tasks=tasks, shard_mb=shards)
        parts = report.get("parts", {"": report})
        text = "\n".join(render_prepared(part, out / name) for name, part in parts.items())
        emit(report, json, for_terminal(text))
        return
    where = corpus_of(corpus, root, labels)
    check_kind(out, "prepare")
    report = prepare_corpus(
        where, out, tasks=tasks, labels=labels, resplit=resplit, shard_mb=shards
    )
    emit(report, json, for_terminal(render_prepared(report, out)))


def units(
    corpus: Annotated[str, Positional("CORPUS", "'synthetic', or a folder of audio.")],
    out: Annotated[Path, Option("DIR", "Output folder.")],
    model: Annotated[
        str | None,
        Option("MODEL", "Cluster hidden features of this model instead of MFCC."),
    ] = None,
    layer: Annotated[
        str | None,
        Option(
            "N|default|auto",
            "Layer of --model, counted from 1. default: 6 of 12, otherwise half of the layers. "
            "auto: the best phone purity, for a corpus with phone_alignment. For --features: index "
            "of the layer in the files, counted from 0.",
        ),
    ] = None,
    features: Annotated[
        Path | None,
        Option("DIR", "Cluster features of another program: ID.npy for each clip."),
    ] = None,
    labels: Annotated[
        Path | None,
        Option(
            "FILE.npz",
            "Take labels of another program instead of clustering: an array of units for each "
            "clip, named ID or CORPUS/ID.",
        ),
    ] = None,
    rate_hz: Annotated[float, Option("HZ", "Frames per second of --features and --labels.")] = 50.0,
    n_units: Annotated[
        int | None,
        Option(
            "N",
            "Number of units (clusters of k-means). Default: 100 of MFCC, 500 of other features.",
        ),
    ] = None,
    fraction: Annotated[
        float | None,
        Option(
            "X",
            "Fraction of the training clips for k-means. Default: 1, or 0.1 of features other than "
            "MFCC if there are 100 hours or more.",
        ),
    ] = None,
    memory_gb: Annotated[
        float, Option("GB", "Memory for the frames of k-means. Of more, a random part is taken.")
    ] = 1.0,
    workers: Annotated[
        int, Option("N", "Processes that read audio. -1: by the cores and the audio.")
    ] = -1,
    device: Annotated[
        str, Option("auto|cpu|cuda", "Device of --model. auto: CUDA if there is a GPU.")
    ] = "auto",
    seed: Seed = 0,
    resplit: Resplit = False,
    json: Json = None,
) -> None:
    """Clusters features of a corpus with k-means and assigns a unit to every frame.

      earbit units my-audio --n-units 100 --out units
      earbit units my-audio --model float --layer 6 --n-units 500 --out units2
      earbit units my-audio --labels k500.npz --out units3

    k-means is fitted on training clips; training and validation clips are labelled.  Results:
    OUT/labels.safetensors, OUT/kmeans.safetensors and OUT/units.json.  Unreadable clips are listed
    in OUT/quarantine.jsonl.  A folder with units of another corpus, number or seed, or with other
    files, is refused.  docs/pretraining.md describes the choices.
    """
    require_corpus(corpus)
    if model is not None:
        check_models([model])
    sources = {"--model": model, "--features": features, "--labels": labels}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)}; give one of them")
    if layer is not None and model is None and features is None:
        raise ConfigError(f"--layer {layer}; it is for --model and --features")
    from earbit.pretrain.unit_verb import Clustered, units_of
    from earbit.units.verb import render_units, units_of_labels

    if labels is not None:
        report = units_of_labels(
            corpus, out, labels, n_units=n_units, rate_hz=rate_hz, resplit=resplit
        )
    else:
        report = units_of(
            corpus,
            out,
            Clustered(model=model, features=features, layer=layer, rate_hz=rate_hz, device=device),
            n_units=n_units,
            seed=seed,
            fraction=fraction,
            memory_gb=memory_gb,
            workers=workers,
            resplit=resplit,
        )
    emit(report, json, for_terminal(render_units(report, out)))


def pretrain(
    recipe: Annotated[
        str,
        Positional(
            "RECIPE",
            f"A preset, a .py file with recipe(), or a saved config.json. {PRESETS_ARE}",
        ),
    ],
    out: Annotated[
        Path, Option("DIR", "Output folder, for this run only. The same command resumes it.")
    ],
    set: Annotated[
        tuple[str, ...],
        Option(
            "KEY=VALUE",
            "Change fields of the recipe, for example train.optimiser.n_steps=500 corpus=DIR. "
            "Can be repeated.",
        ),
    ] = (),
    schedule: Annotated[
        Literal["paper", "fairseq"] | None,
        Option(
            "paper|fairseq",
            "Published steps and audio per update: of arXiv 2311.02772, or of HuBERT Base in "
            "fairseq. Both have 32 GPUs. Fewer GPUs accumulate gradients.",
        ),
    ] = None,
    corpus: Annotated[
        str | None, Option("CORPUS", "'synthetic', or a folder of audio. Short for --set corpus=.")
    ] = None,
    iterations: Annotated[
        Literal[1, 2] | None,
        Option(
            "1|2",
            "Iterations: the second trains a new model on units of hidden features of the first. "
            "Fields second.n_units, second.layer and second.n_steps set it.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        Option("auto|cpu|cuda", "Device. Short for --set train.machine.device=."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        Option("fp32|bf16|fp16", "Precision of products. Short for --set train.precision=."),
    ] = None,
    dry_run: Annotated[
        bool,
        Option("", "Only print memory, hours, disk and audio per update. Nothing is written."),
    ] = False,
    gpus: Annotated[
        int | None,
        Option("N", "Plan for N GPUs in --dry-run. Default: the processes of torchrun."),
    ] = None,
    resplit: Resplit = False,
    json: Json = None,
) -> None:
    """Pre-trains a model by masked prediction of units.  Result: OUT/model.safetensors.

      earbit pretrain hubert-tiny --corpus my-audio --out float
      earbit pretrain hubert-tiny --corpus my-audio --iterations 2 --out two
      earbit pretrain conformer-s --schedule paper --gpus 8 --dry-run --out float

    --set can change every field of the recipe, which is saved in OUT/config.json.  units=DIR uses
    the output of `earbit units`.  OUT/log.jsonl has the losses.  With two iterations, OUT/1 and
    OUT/2 hold the run of each.
    """
    short = {
        "corpus": corpus,
        "iterations": iterations,
        "train.machine.device": device,
        "train.precision": precision,
        "resplit": "true" if resplit else None,
    }
    given = [f"{name}={value}" for name, value in short.items() if value is not None]
    settings = (*set, *given)
    check_recipe(recipe, settings)
    if gpus is not None and not dry_run:
        raise ConfigError(f"--gpus {gpus} is for --dry-run; start {gpus} processes with torchrun")
    from earbit.distributed import launched_ranks
    from earbit.pretrain.plan import plan_run, render_plan
    from earbit.pretrain.schedules import arithmetic, recipe_with
    from earbit.pretrain.verb import pretrain as pretrain_recipe
    from earbit.pretrain.verb import render_pretrained

    n_ranks = launched_ranks() if gpus is None else gpus
    require_range(1, 2**16, gpus=n_ranks)
    chosen = recipe_with(recipe, settings, schedule=schedule, n_ranks=n_ranks)
    if dry_run:
        plan = plan_run(chosen, n_ranks=n_ranks)
        emit(plan, json, render_plan(plan))
        return
    if schedule is not None or n_ranks > 1:
        say(arithmetic(chosen.train, n_ranks))
    with goes_on(out):
        result = pretrain_recipe(chosen, out)
    emit(result, json, for_terminal(render_pretrained(result)))


def import_(
    source: Annotated[
        Path,
        Positional(
            "SOURCE", "Hugging Face folder of a HuBERT, with config.json and model.safetensors."
        ),
    ],
    out: Annotated[Path, Option("DIR", "Output folder.")],
    json: Json = None,
) -> None:
    """Imports a pre-trained HuBERT of Hugging Face.  Result: OUT/model.safetensors.

      earbit import hubert-base-ls960 --out hubert
      earbit export hubert --plan w8a8 --out hubert-w8a8.safetensors

    No code in SOURCE is executed.  Hidden states equal those of transformers for single clips.
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
    out: Annotated[
        Path, Option("DIR", "Output folder, for this run only. The same command resumes it.")
    ],
    plan: Annotated[
        tuple[str, ...],
        Option("PLAN", f"Plans of the stages, in order. {PLANS_ARE}"),
    ] = ("w1a2", "w1a1"),
    corpus: Corpus = "synthetic",
    n_steps: Annotated[
        tuple[int, ...],
        Option("N", "Training steps: one number for all stages, or one for each stage."),
    ] = (300,),
    device: Annotated[
        str | None,
        Option("auto|cpu|cuda", "Device. Short for --set train.machine.device=."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        Option("fp32|bf16|fp16", "Precision of products. Short for --set train.precision=."),
    ] = None,
    seed: Seed = 0,
    resplit: Resplit = False,
    set: Settings = (),
    json: Json = None,
) -> None:
    """Quantizes a model: calibrates it and trains it with quantization and distillation.

    Each plan is a stage.  The model of a stage is the starting point and the teacher of the next
    stage.  By default there are two stages: the full-precision model is the teacher of w1a2, and
    w1a2 is the teacher of w1a1 (multi-distillation).  Units are used if the folder of the model has
    them, and are not required.

      earbit quantize float --corpus my-audio --out onebit
      earbit quantize float --corpus my-audio --plan w1a1-encoder --out onebit
      earbit quantize float --corpus my-audio --plan w4a4 w1a1 --n-steps 300 600 --out onebit

    docs/quantization.md describes the plans and how to write your own.

    Results: OUT/model.safetensors, OUT/result.json (metrics) and OUT/leaves.txt (precision of every
    leaf).  OUT/1-w1a2 and OUT/2-w1a1 are the stages, each with model.safetensors, log.jsonl,
    leaves.txt and checkpoints.  OUT/config.json has all fields that --set can change, for example
    --set weights.logits=1 calibration.scale=least-squares train.optimiser.peak_lr=5e-4.

    The same command resumes an interrupted run bit-exactly.  A different command is refused.
    """
    check_models([model], plan)
    require_corpus(corpus)
    from earbit.quantize.report import render
    from earbit.quantize.verb import quantize as quantize_model

    short = {"train.machine.device": device, "train.precision": precision}
    settings = (*set, *(f"{name}={value}" for name, value in short.items() if value is not None))
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
