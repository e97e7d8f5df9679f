"""Commands that make models: corpora, quantization, study; `pretraining.py` has the others."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

from earbit.audio.corpus_names import require_corpus
from earbit.cli.arguments import Option, Positional
from earbit.cli.names import check_models
from earbit.cli.options import (
    PLANS_ARE,
    PRESETS_ARE,
    Corpus,
    Json,
    Model,
    Precision,
    Resplit,
    Seed,
    Settings,
    TrainDevice,
)
from earbit.config import settings_of
from earbit.corpora.table import CORPORA, published_named
from earbit.model_names import require_shape
from earbit.output import emit, for_terminal, goes_on, print_text
from earbit.superb.tasks import TASKS


def study(
    corpus: Corpus = "synthetic",
    scale: Annotated[
        Literal["tiny", "small", "full"],
        Option(
            "tiny|small|full",
            "Models and amount of training. tiny takes minutes on two cores; small is for hours of "
            "speech on one GPU, or a patient CPU; full is the paper, for 32 GPUs.",
        ),
    ] = "tiny",
    encoders: Annotated[
        tuple[str, ...],
        Option(
            "ENCODER",
            "Encoders to compare: presets, or .yaml or .json files with the shape of a model "
            f"(docs/study.md). Default: the five of the scale. {PRESETS_ARE}",
        ),
    ] = (),
    plans: Annotated[
        tuple[str, ...],
        Option("PLAN", f"Plans to compare. Default: fp32 w1a1. {PLANS_ARE}"),
    ] = (),
    tasks: Annotated[
        tuple[str, ...],
        Option("TASK", f"Tasks of SUPERB, or all: {', '.join(TASKS)}."),
    ] = ("all",),
    task_data: Annotated[
        tuple[str, ...],
        Option(
            "CORPUS",
            "Corpora of the tasks, as in `superb --data`, or TASK=CORPUS; the first that serves a "
            "task is taken. Default: the corpus itself.",
        ),
    ] = (),
    seeds: Annotated[int, Option("N", "Number of seeds, from --seed on.")] = 1,
    set: Annotated[
        tuple[str, ...],
        Option(
            "KEY=VALUE",
            "Change fields of the recipe of every encoder, for example model.front_end.n_mels=40, "
            "or of the quantization, for example quantize.weights.logits=0. Can be repeated.",
        ),
    ] = (),
    pretrain_steps: Annotated[int | None, Option("N", "Updates of each pre-training.")] = None,
    quantize_steps: Annotated[
        tuple[int, ...], Option("N", "Updates of the stages of quantization: one number, or two.")
    ] = (),
    head_steps: Annotated[int | None, Option("N", "Updates of each head of a task.")] = None,
    jobs: Annotated[
        int | None,
        Option(
            "N",
            "Steps at a time, which share the cores. Default: tiny one for each core, others 1.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, Option("", "Only print steps, hours, disk and the lines for torchrun.")
    ] = False,
    out: Annotated[Path, Option("DIR", "Output folder.")] = Path("earbit-study"),
    seed: Seed = 0,
    resplit: Resplit = False,
) -> None:
    """Runs the full comparison: pre-trains, quantizes, evaluates, exports and times encoders.

      earbit study --out study
      earbit study --corpus my-audio --encoders hubert-tiny conformer-tiny --out study
      earbit study --corpus my-audio --task-data words ks=commands --plans fp32 w8a8 w1a1 --seeds 3

    Tasks whose labels the corpora do not have are left out (docs/corpus.md).  The same command
    resumes an interrupted study; with other options only what changed runs again.  A step that
    fails leaves the others.  Results: OUT/results.json and OUT/report.html (docs/study.md).
    """
    require_corpus(corpus)
    for encoder in encoders:
        require_shape(encoder)
    from earbit.study.request import Request
    from earbit.study.run import run_study
    from earbit.study.scale import changed, scale_named
    from earbit.study.shapes import shapes_of

    names, shapes = shapes_of(encoders)
    request = Request(
        scale_name=scale,
        scale=changed(
            scale_named(scale),
            encoders=names,
            shapes=shapes,
            plans=plans,
            settings=set,
            pretrain_steps=pretrain_steps,
            quantize_steps=quantize_steps,
            head_steps=head_steps,
        ),
        corpus=corpus,
        task_data=task_data,
        tasks=tasks,
        seed=seed,
        n_seeds=seeds,
        resplit=resplit,
        settings=set,
        jobs=jobs,
    )
    with goes_on(out):
        ended = run_study(request, out, dry_run=dry_run)
    print_text(ended.text)
    ended.check(out)


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
    from earbit.superb.work import work_on

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


def import_(
    source: Annotated[
        Path,
        Positional(
            "SOURCE",
            "Hugging Face folder of a HuBERT, wav2vec 2.0 or WavLM model, or of `earbit export "
            "--format hf`, or a checkpoint of fairseq, WavLM, DistilHuBERT, s3prl or torchaudio.",
        ),
    ],
    out: Annotated[Path, Option("DIR", "Output folder.")],
    json: Json = None,
) -> None:
    """Imports a pre-trained model of another program.  Result: OUT/model.safetensors.

      earbit import hubert-base-ls960 --out hubert
      earbit export hubert --plan w8a8 --out hubert-w8a8.safetensors

    A head for text (CTC) or for classes is imported too, for `earbit export --head OUT`.
    No code in SOURCE is executed.  Hidden states equal those of transformers for single clips.
    """
    from earbit.hub.verb import import_model, render_imported

    result = import_model(source, out)
    emit(result, json, render_imported(result))


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
    device: TrainDevice = None,
    precision: Precision = None,
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
    settings = (*set, *settings_of(short))
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
