"""Commands that judge models: profile, SUPERB scores, propagation of quantization error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from earbit.cli.arguments import Option, Positional
from earbit.cli.options import (
    PLANS_ARE,
    PRESETS_ARE,
    Json,
    Model,
    PresetSettings,
    Resplit,
    Seed,
)
from earbit.output import emit, goes_on, print_json
from earbit.superb.tasks import TASKS


def profile(
    models: Annotated[
        tuple[str, ...],
        Positional(
            "MODEL",
            "Presets, or model folders or files that earbit trained. Without any: all presets. "
            f"{PRESETS_ARE}",
        ),
    ] = (),
    plan: Annotated[
        tuple[str, ...],
        Option(
            "PLAN",
            f"Profile each preset under these plans. Without it: fp32. {PLANS_ARE}",
        ),
    ] = (),
    seconds: Annotated[float, Option("S", "Length of the audio.")] = 10.0,
    rest_bits: Annotated[
        Literal[32, 16] | None,
        Option(
            "32|16",
            "Bits per float value in storage_bytes of the JSON; the table shows both.",
        ),
    ] = None,
    accounting: Annotated[
        Literal["earbit", "yeh"] | None,
        Option(
            "earbit|yeh",
            "How storage is counted. Without it: earbit. yeh counts as arXiv 2301.00652, in fp16.",
        ),
    ] = None,
    devices: Annotated[
        tuple[str, ...],
        Option(
            "DEVICE",
            "Estimate times for these devices. Without it: all known ones. this-cpu is this "
            "machine, measured first.",
        ),
    ] = (),
    modules: Annotated[int, Option("DEPTH", "List modules down to this depth; 0 lists none.")] = 0,
    set: PresetSettings = (),
    all: Annotated[
        bool, Option("", "All presets under all plans, beside Table 1 of the paper.")
    ] = False,
    figure: Annotated[
        Path | None,
        Option(
            "FILE.svg",
            "Draw the cost by part and by length of the audio.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Profiles models: parameters, storage, MACs, FLOPs, BOPs, memory, estimated times.

      earbit profile hubert-base --plan fp32 w1a1
      earbit profile --all

    No model is run, so times are estimates; `earbit bench` measures them (docs/cost.md).
    """
    from earbit.cost.verb import profile_as_the_paper, profile_models

    settings = set
    if all:
        others = {
            "models": models,
            "--plan": plan,
            "--rest-bits": rest_bits,
            "--accounting": accounting,
            "--devices": devices,
            "--modules": modules,
            "--set": settings,
            "--figure": figure,
        }
        text, records = profile_as_the_paper(seconds=seconds, others=others)
    else:
        text, records = profile_models(
            models,
            plan,
            seconds=seconds,
            rest_bits=rest_bits,
            accounting=accounting,
            devices=devices,
            module_depth=modules,
            settings=settings,
            figure=figure,
        )
    emit(records, json, text)


def superb(
    model: Model,
    out: Annotated[Path, Option("DIR", "Folder for the scores and the head.")],
    task: Annotated[
        Literal[tuple(TASKS)],  # type: ignore[valid-type]
        Option("", f"{'; '.join(f'{t.name}: {t.title}' for t in TASKS.values())}."),
    ] = "ks",
    data: Annotated[
        str,
        Option(
            "CORPUS",
            "'synthetic', or a folder of audio with the labels of the task (docs/corpus.md).",
        ),
    ] = "synthetic",
    seed: Seed = 0,
    resplit: Resplit = False,
) -> None:
    """Evaluates a model: trains a small head on frozen features.  Result: OUT/scores.json.

      earbit superb onebit --task ks --data my-audio --out onebit-ks

    `earbit export MODEL --head DIR` packs the trained head.
    """
    from earbit.superb.verb import score_model

    with goes_on(out):
        print_json(score_model(model, task, data, out, seed=seed, resplit=resplit))


def propagation(
    models: Annotated[
        tuple[str, ...],
        Positional(
            "MODEL",
            "Presets, or model folders or files that earbit trained; several are compared. "
            f"{PRESETS_ARE}",
        ),
    ],
    plan: Annotated[
        str | None,
        Option(
            "PLAN",
            f"Quantize the models under this plan, without training. Without it: w1a1. {PLANS_ARE}",
        ),
    ] = None,
    teacher: Annotated[
        tuple[str, ...],
        Option(
            "MODEL",
            "For models that are already quantized: the full-precision model of each.",
        ),
    ] = (),
    corpus: Annotated[
        str | None,
        Option(
            "CORPUS",
            "A folder of audio. Without it: 'synthetic'.",
        ),
    ] = None,
    noise: Annotated[bool, Option("", "Use seeded noise instead of a corpus.")] = False,
    clips: Annotated[int, Option("N", "Number of clips to compare.")] = 8,
    seconds: Annotated[float, Option("S", "Seconds of each clip, from its start.")] = 4.0,
    set: PresetSettings = (),
    out: Annotated[
        Path | None,
        Option(
            "DIR",
            "Folder for propagation.json and the figure (SVG and PNG). Without it: only the "
            "table is printed.",
        ),
    ] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Measures how quantization errors propagate, by module, role and encoder.

      earbit propagation hubert-tiny --noise                          random weights
      earbit propagation float --plan w1a1 --corpus my-audio          quantized, not trained
      earbit propagation onebit --teacher float --corpus my-audio     trained quantized model
      earbit propagation conformer hubert --corpus my-audio --out DIR   two encoders compared

    SQNR is the signal-to-quantization-noise ratio: at 0 dB noise and signal are equal.  A mixed
    encoder is compared with an attention-only one: a net coherence between roles above 0 means that
    errors of different roles add up more in the mixed one (docs/propagation.md).
    """
    from earbit.quantize.propagation.verb import errors_of_models

    text, result = errors_of_models(
        models,
        plan=plan,
        teachers=teacher,
        corpus=corpus,
        is_noise=noise,
        n_clips=clips,
        seconds=seconds,
        settings=set,
        seed=seed,
        out_dir=out,
    )
    emit(result, json, text)
