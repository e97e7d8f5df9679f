"""Verbs that judge models: what they cost, what they are worth, where their error comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from earbit.cli.options import (
    NO_DEFAULT,
    PLANS_ARE,
    PRESETS_ARE,
    Json,
    Model,
    PresetSettings,
    Seed,
    flat,
)
from earbit.output import emit, goes_on, print_json


def profile(
    models: Annotated[
        Positional[tuple[str, ...]],
        arg(
            metavar="[MODEL ...]",
            help="Presets, or folders or files of models that earbit trained; without any, all "
            f"presets. {PRESETS_ARE}",
            help_behavior_hint=NO_DEFAULT,
        ),
    ],
    plan: Annotated[
        tuple[str, ...],
        arg(
            metavar="PLAN ...",
            help=f"Profile each preset under these; without it fp32. {PLANS_ARE}",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = (),
    seconds: Annotated[float, arg(metavar="S", help="Length of the audio.")] = 10.0,
    rest_bits: Annotated[
        Literal[32, 16] | None,
        arg(
            metavar="32|16",
            help="Bits of what stays in float, in the JSON's storage_bytes; the table has both.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
    accounting: Annotated[
        Literal["earbit", "yeh"] | None,
        arg(
            metavar="earbit|yeh",
            help="How storage is counted: yeh is as arXiv 2301.00652 does, in fp16; without it "
            "earbit.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
    devices: Annotated[
        tuple[str, ...],
        arg(
            metavar="DEVICE ...",
            help="Estimate times for these; without it all that earbit knows. this-cpu is this "
            "machine, measured first.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = (),
    modules: Annotated[
        int, arg(metavar="DEPTH", help="Depth to which modules are listed; 0 lists none.")
    ] = 0,
    set: PresetSettings = (),
    all: Annotated[
        bool, arg(help="Our presets under all plans, beside what the paper's Table 1 prints.")
    ] = False,
    figure: Annotated[
        Path | None,
        arg(
            metavar="FILE.svg",
            help="Draw where the cost sits and how it grows.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
    json: Json = None,
) -> None:
    """What a model costs: parameters, storage, MACs, FLOPs, BOPs, memory, estimated times.

      earbit profile hubert-base --plan fp32 w1a1
      earbit profile --all

    No model is run, so it is quick; times are estimates, `earbit bench` measures (docs/cost.md).
    """
    from earbit.cost.verb import profile_as_the_paper, profile_models

    settings = flat(set)
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
    out: Annotated[Path, arg(metavar="DIR", help="A folder for the scores and the head.")],
    task: Annotated[Literal["ks"], arg(help="ks is keyword spotting.")] = "ks",
    data: Annotated[
        str,
        arg(
            metavar="CORPUS",
            help="'synthetic', or a folder of audio with keyword labels (docs/corpus.md).",
        ),
    ] = "synthetic",
    seed: Seed = 0,
) -> None:
    """What a model is worth: a small head on frozen features.  Result: OUT/scores.json.

      earbit superb onebit --task ks --data my-audio --out onebit-ks

    `earbit export MODEL --head DIR` packs the head that was trained.
    """
    from earbit.superb.verb import score_model

    with goes_on(out):
        print_json(score_model(model, task, data, out, seed=seed))


def propagation(
    models: Annotated[
        Positional[tuple[str, ...]],
        arg(
            metavar="MODEL ...",
            help="Presets, or folders or files of models that earbit trained; several are "
            f"compared. {PRESETS_ARE}",
            help_behavior_hint=NO_DEFAULT,
        ),
    ],
    plan: Annotated[
        str | None,
        arg(
            metavar="PLAN",
            help=f"Quantizes them, without training; without it w1a1. {PLANS_ARE}",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
    teacher: Annotated[
        tuple[str, ...],
        arg(
            metavar="MODEL ...",
            help="Of models that are quantized already: what each was made from.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = (),
    corpus: Annotated[
        str | None,
        arg(
            metavar="CORPUS",
            help="A folder of audio; without it 'synthetic'.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
    noise: Annotated[bool, arg(help="Seeded noise instead of a corpus, for a quick look.")] = False,
    clips: Annotated[int, arg(metavar="N", help="Clips that are compared.")] = 8,
    seconds: Annotated[float, arg(metavar="S", help="Of each clip, from its start.")] = 4.0,
    set: PresetSettings = (),
    out: Annotated[
        Path | None,
        arg(
            metavar="DIR",
            help="A folder for propagation.json and the figure, SVG and PNG; without it only the "
            "table is printed.",
            help_behavior_hint=NO_DEFAULT,
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
    errors of different roles add up more in the mixed one (docs/errors.md).
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
        settings=flat(set),
        seed=seed,
        out_dir=out,
    )
    emit(result, json, text)
