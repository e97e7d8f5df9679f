"""Commands of pre-training: units, and training on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from earbit.audio.corpus_names import require_corpus
from earbit.cli.arguments import Option, Positional
from earbit.cli.names import check_models, check_recipe
from earbit.cli.options import PRESETS_ARE, Json, Precision, Resplit, Seed, TrainDevice
from earbit.config import settings_of
from earbit.errors import ConfigError, require_range
from earbit.output import emit, for_terminal, goes_on
from earbit.progress import say


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
    rate_hz: Annotated[
        float | None,
        Option("HZ", "Frames per second of --features and --labels. Default: 50."),
    ] = None,
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
        float | None,
        Option(
            "GB", "Memory for the frames of k-means. Of more, a random part is taken. Default: 1."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        Option("N", "Processes that read audio. Default: by the cores and the audio."),
    ] = None,
    device: Annotated[
        str | None,
        Option("auto|cpu|cuda", "Device of --model. Default: auto, CUDA if there is a GPU."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        Option("fp32|bf16|fp16", "Precision of the products of --model. Default: fp32."),
    ] = None,
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
    _refuse_without(
        given[0] if given else None,
        (
            ("--layer", layer, ("--model", "--features")),
            ("--device", device, ("--model",)),
            ("--precision", precision, ("--model",)),
            ("--rate-hz", rate_hz, ("--features", "--labels")),
            ("--fraction", fraction, (None, "--model", "--features")),
            ("--memory-gb", memory_gb, (None, "--model", "--features")),
            ("--workers", workers, (None, "--model", "--features")),
        ),
    )
    rate_hz = 50.0 if rate_hz is None else rate_hz
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
            Clustered(
                model=model,
                features=features,
                layer=layer,
                rate_hz=rate_hz,
                device=device or "auto",
                precision=precision or "fp32",
            ),
            n_units=n_units,
            seed=seed,
            fraction=fraction,
            memory_gb=1.0 if memory_gb is None else memory_gb,
            workers=-1 if workers is None else workers,
            resplit=resplit,
        )
    emit(report, json, for_terminal(render_units(report, out)))


def _refuse_without(
    source: str | None, options: Sequence[tuple[str, object, tuple[str | None, ...]]]
) -> None:
    """Raises ConfigError for an option that the source of the units, None for MFCC, has no use for.

    options: name, value or None, and the sources that use it.
    """
    for name, value, sources in options:
        if value is not None and source not in sources:
            users = " and ".join(user or "MFCC" for user in sources)
            raise ConfigError(f"{name} {value}; it is for {users}, and not for {source or 'MFCC'}")


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
    device: TrainDevice = None,
    precision: Precision = None,
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
        "resplit": resplit or None,
    }
    settings = (*set, *settings_of(short))
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
