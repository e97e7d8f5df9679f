"""Commands that score models on tasks: superb, superb report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from earbit.cli.arguments import Option, Positional
from earbit.cli.options import (
    PLANS_ARE,
    PRESETS_ARE,
    Beam,
    Cache,
    Device,
    Json,
    Lm,
    LmWeights,
    Resplit,
    Seed,
)
from earbit.errors import ConfigError
from earbit.output import emit, goes_on
from earbit.progress import say
from earbit.quantize.plan import plan_named
from earbit.superb.names import check_names
from earbit.superb.tasks import TASKS
from earbit.upstream.names import is_program


def superb(
    model: Annotated[
        str,
        Positional(
            "MODEL",
            "A model folder or file of earbit, a program file, a preset (random weights from "
            "--seed), `random:MODEL` (random weights in the shape of a model), `fbank` (log mel "
            "energies), or `features:DIR` with a file ID.npy for each "
            f"clip. {PRESETS_ARE}",
        ),
    ],
    out: Annotated[
        Path, Option("DIR", "Output folder. The same command resumes an interrupted run.")
    ],
    task: Annotated[
        tuple[str, ...],
        Option(
            "TASK",
            f"Tasks, or `all`: {', '.join(f'{t.name} ({t.title})' for t in TASKS.values())}.",
        ),
    ] = ("ks",),
    data: Annotated[
        tuple[str, ...],
        Option(
            "CORPUS",
            "'synthetic', a folder of audio with the labels of the task (docs/corpus.md), a folder "
            "with a corpus for each task in a folder of its name, or TASK=CORPUS for each task.",
        ),
    ] = ("synthetic",),
    protocol: Annotated[
        Literal["superb", "proxy"] | None,
        Option(
            "superb|proxy",
            "Updates, batch sizes and learning rates of the benchmark, or ones for a small corpus. "
            "Default: proxy below 20 hours.",
        ),
    ] = None,
    n_steps: Annotated[int | None, Option("N", "Updates of each head.")] = None,
    batch_size: Annotated[int | None, Option("N", "Clips per update.")] = None,
    lrs: Annotated[
        tuple[float, ...],
        Option("LR", "Learning rates to try; the validation clips select one."),
    ] = (),
    plan: Annotated[
        str | None,
        Option(
            "PLAN",
            "Quantize the model first, calibrated on training clips. Without --finetune it is not "
            f"trained. {PLANS_ARE}",
        ),
    ] = None,
    upstream: Annotated[
        Literal["pytorch", "runtime"],
        Option(
            "pytorch|runtime",
            "Where the features come from. runtime exports the model to OUT/program.safetensors.",
        ),
    ] = "pytorch",
    finetune: Annotated[
        bool, Option("", "Train the encoder too. The scores are not those of SUPERB.")
    ] = False,
    teacher: Annotated[
        str | None,
        Option("DIR", "With --finetune: a fine-tuned model to learn from, on the same corpus."),
    ] = None,
    set: Annotated[
        tuple[str, ...],
        Option(
            "KEY=VALUE",
            "With --finetune: change fields of the configuration, as saved in OUT/config.json, for "
            "example frozen_steps=100 layer_decay=0.9. Can be repeated.",
        ),
    ] = (),
    cache: Cache = "fp32",
    lm: Lm = None,
    beam: Beam = None,
    lm_weights: LmWeights = (),
    threads: Annotated[int, Option("N", "Threads of a program.")] = 1,
    device: Device = "auto",
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"],
        Option(
            "fp32|bf16|fp16",
            "Precision of the products of a model in PyTorch. With --finetune: --set precision=.",
        ),
    ] = "fp32",
    seed: Seed = 0,
    resplit: Resplit = False,
    json: Json = None,
) -> None:
    """Trains heads on frozen features of a model and scores them on tasks of SUPERB.

      earbit superb onebit --task ks --data my-audio --out onebit-ks
      earbit superb onebit --task all --out onebit-superb
      earbit superb onebit.safetensors --task asr pr --data my-audio --out packed
      earbit superb float --task ks --data my-audio --finetune --out float-ks
      earbit superb float-ks --finetune --plan w1a1 --teacher float-ks --data my-audio --out ks

    Results: OUT/scores.json and OUT/head.safetensors, or OUT/TASK/... for several tasks, and with
    --plan or --finetune OUT/model.safetensors.  `earbit export MODEL --head DIR` adds a trained
    head to the program.
    """
    check_names(model, task, data)
    if not finetune and (given := [f"--teacher {teacher}"] * (teacher is not None) + [*set]):
        raise ConfigError(f"{given[0]} without --finetune; add it or leave this out")
    for_frozen = {
        "--cache": cache != "fp32",
        "--lm": lm is not None,
        "--beam": beam is not None,
        "--lm-weights": bool(lm_weights),
        "--threads": threads != 1,
        "--precision": precision != "fp32",
    }
    if finetune and (used := [flag for flag, is_used in for_frozen.items() if is_used]):
        raise ConfigError(
            f"{' and '.join(used)} with --finetune: for frozen features only; leave it out"
        )
    if threads != 1 and upstream == "pytorch" and not is_program(model):
        raise ConfigError(
            f"--threads {threads} with {model}, which is no program; leave it out, or add "
            "--upstream runtime"
        )
    if plan is not None:
        plan_named(plan)
    from earbit.heads.language_model import open_language_model
    from earbit.superb.report import scores_table
    from earbit.superb.verb import score_model
    from earbit.superb.work import Settings

    export = None
    if upstream == "runtime":
        from earbit.export.verb import export_scored

        export = export_scored
    settings = Settings(
        protocol=protocol, n_steps=n_steps, batch_size=batch_size, lrs=tuple(lrs) or None
    )
    with goes_on(out):
        if finetune:
            from earbit.finetune.verb import fine_tune_model

            scores = fine_tune_model(
                model,
                task,
                data,
                out,
                settings=settings,
                changes=(f"device={device}", *set),
                plan=plan,
                teacher=teacher,
                export=export,
                seed=seed,
                resplit=resplit,
            )
            place = out if len(scores) == 1 else out / "TASK"
            say(f"{place}: model.safetensors and head.safetensors, for `earbit export` with --head")
        else:
            scores = score_model(
                model,
                task,
                data,
                out,
                settings=settings,
                seed=seed,
                threads=threads,
                device=device,
                precision=precision,
                resplit=resplit,
                cache=cache,
                lm=open_language_model(lm, beam, lm_weights),
                plan=plan,
                export=export,
            )
    emit(scores, json, scores_table(scores))


def superb_report(
    folders: Annotated[
        tuple[Path, ...],
        Positional("DIR", "Output folders of `earbit superb`, one for each model."),
    ],
    out: Annotated[
        Path | None, Option("FILE", "Also write the table to this .csv, .html or .tex file.")
    ] = None,
    json: Json = None,
) -> None:
    """Prints the scores of several models, their differences, and published scores.

      earbit superb report float-superb onebit-superb --out scores.html

    Differences are from the first model, for scores of the same test clips.
    """
    from earbit.leaderboard.table import compare

    text, rows = compare(folders, out)
    emit(rows, json, text)
