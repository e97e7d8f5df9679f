"""Verbs that judge models: what they cost, what they are worth, where their error comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from earbit.cli.options import Json, Seed, Settings, flat
from earbit.output import emit, print_json


def profile(
    models: Annotated[
        Positional[tuple[str, ...]], arg(help="Presets or models of ours; none is all presets.")
    ],
    plan: Annotated[
        tuple[str, ...], arg(help="Plans to profile each preset under; none is fp32.")
    ] = (),
    seconds: Annotated[float, arg(help="Length of the audio.")] = 10.0,
    rest_bits: Annotated[
        Literal[32, 16] | None,
        arg(help="Bits of what stays in float, in the JSON's storage_bytes; the table has both."),
    ] = None,
    accounting: Annotated[
        Literal["earbit", "yeh"] | None,
        arg(help="yeh: as arXiv 2301.00652 counts storage, in fp16; none is earbit."),
    ] = None,
    devices: Annotated[
        tuple[str, ...],
        arg(help="To estimate times for; none is the catalogue, this-cpu is measured first."),
    ] = (),
    modules: Annotated[int, arg(help="Depth to which modules are listed; 0 lists none.")] = 0,
    set: Annotated[Settings, arg(metavar="KEY=VALUE", help="As encoder.position_kernel=64.")] = (),
    all: Annotated[
        bool, arg(help="Our presets under all plans, beside what the paper's Table 1 prints.")
    ] = False,
    figure: Annotated[
        Path | None, arg(metavar="FILE.svg", help="Draw where the cost sits and how it grows.")
    ] = None,
    json: Json = None,
) -> None:
    """What a model costs: parameters, storage, MACs, FLOPs, BOPs, memory, estimated times."""
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
    model: Annotated[Positional[str], arg(help="A model folder or file of ours, or a preset.")],
    out: Path,
    task: Literal["ks"] = "ks",
    data: Annotated[
        str, arg(help="'synthetic', or a folder of audio with keyword labels.")
    ] = "synthetic",
    seed: Seed = 0,
) -> None:
    """What a model is worth: a small head on frozen features.  Result: OUT/scores.json."""
    from earbit.superb.verb import score_model

    print_json(score_model(model, task, data, out, seed=seed))


def errors(
    models: Annotated[
        Positional[tuple[str, ...]], arg(help="Models of ours or presets; several are compared.")
    ],
    plan: Annotated[
        str | None, arg(metavar="PLAN", help="Quantizes them, without training; none is w1a1.")
    ] = None,
    teacher: Annotated[
        tuple[str, ...],
        arg(metavar="MODEL", help="Of MODELS that are quantized: what each was made from."),
    ] = (),
    corpus: Annotated[
        str | None, arg(metavar="CORPUS", help="'synthetic', the default, or a folder of audio.")
    ] = None,
    noise: Annotated[bool, arg(help="Seeded noise instead, for a quick look.")] = False,
    clips: Annotated[int, arg(help="Clips that are compared.")] = 8,
    seconds: Annotated[float, arg(help="Of each clip, from its start.")] = 4.0,
    set: Annotated[Settings, arg(metavar="KEY=VALUE", help="As encoder.n_layers=3.")] = (),
    out: Annotated[
        Path | None, arg(metavar="DIR", help="For errors.json and the figure, SVG and PNG.")
    ] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Where quantization noise arises and how it propagates, by module, kind and encoder.

    earbit errors hubert-tiny --noise                             a quick look, random weights

    earbit errors FLOAT --plan w1a1 --corpus AUDIO                quantized without training

    earbit errors ONEBIT --teacher FLOAT --corpus AUDIO           trained with quantization

    earbit errors CONFORMER HUBERT --corpus AUDIO --out DIR       two encoders compared

    Plans: w1a1, w1a1-encoder, w1a1-frontend4, w1a1-frontend8, w1a2, w2a2, w4a4, w8a8, or a .json
    or .yaml file of your own.  DIR gets errors.json, errors.svg and errors.png.

    Levels are signal over quantization noise in dB: 0 is as much noise as signal, more is better.
    Of a mixed encoder and one of attention alone, the number is how much more alike errors of
    different kinds of module are in the mixed one: above 0 they add up more (docs/errors.md).
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
