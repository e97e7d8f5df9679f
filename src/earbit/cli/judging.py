"""Commands that examine models, trainings and studies: profile, propagation, curves, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from earbit.audio.corpus_names import require_corpus
from earbit.cli.arguments import Option, Positional
from earbit.cli.names import check_models
from earbit.cli.options import (
    PLANS_ARE,
    PRESETS_ARE,
    Json,
    PresetSettings,
    Seed,
)
from earbit.output import emit, print_text


def profile(
    models: Annotated[
        tuple[str, ...],
        Positional(
            "MODEL",
            f"Presets, or model folders or files of earbit. Default: all presets. {PRESETS_ARE}",
        ),
    ] = (),
    plan: Annotated[
        tuple[str, ...],
        Option(
            "PLAN",
            f"Profile each full-precision model under these plans. Default: fp32. {PLANS_ARE}",
        ),
    ] = (),
    seconds: Annotated[float, Option("S", "Length of the audio in seconds.")] = 10.0,
    rest_bits: Annotated[
        Literal[32, 16] | None,
        Option(
            "32|16",
            "Bits of each float value in storage_bytes of the JSON. The table shows both.",
        ),
    ] = None,
    accounting: Annotated[
        Literal["earbit", "yeh"] | None,
        Option(
            "earbit|yeh",
            "Rule for counting storage. Default: earbit. yeh follows arXiv 2301.00652, in fp16.",
        ),
    ] = None,
    devices: Annotated[
        tuple[str, ...],
        Option(
            "DEVICE",
            "Estimate times for these devices. Default: all listed in docs/cost.md. this-cpu is "
            "this machine, whose speed is measured first.",
        ),
    ] = (),
    modules: Annotated[int, Option("DEPTH", "List modules down to this depth. 0 lists none.")] = 0,
    set: PresetSettings = (),
    all: Annotated[
        bool, Option("", "Profile all presets under all plans, next to Table 1 of the paper.")
    ] = False,
    figure: Annotated[
        Path | None,
        Option(
            "FILE.svg",
            "Draw the cost by role and by length of the audio.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Counts parameters, storage, MACs, FLOPs, BOPs and memory of models, and estimates times.

      earbit profile hubert-base --plan fp32 w1a1
      earbit profile --all

    Also the latency of a stream, or the op that needs the whole clip (docs/streaming.md).
    No model is run, so times are estimates (docs/cost.md).  `earbit bench` measures times.
    """
    check_models(models, plan)
    from earbit.cost.verb import configs_of, profile_as_the_paper, profile_models
    from earbit.export.latency import latency_of, render_latencies

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
        configs = configs_of(models, settings)
        latencies = {name: latency_of(config) for name, config in configs.items()}
        text += "\n" + render_latencies(latencies)
        records = [record | latencies[record["name"]].as_dict() for record in records]
    emit(records, json, text)


def propagation(
    models: Annotated[
        tuple[str, ...],
        Positional(
            "MODEL",
            "Presets, or model folders or files of earbit. Several models are compared. "
            f"{PRESETS_ARE}",
        ),
    ],
    plan: Annotated[
        str | None,
        Option(
            "PLAN",
            f"Quantize the models under this plan, without training. Default: w1a1. {PLANS_ARE}",
        ),
    ] = None,
    teacher: Annotated[
        tuple[str, ...],
        Option(
            "MODEL",
            "The full-precision model of each model that is already quantized.",
        ),
    ] = (),
    corpus: Annotated[
        str | None,
        Option(
            "CORPUS",
            "A folder of audio. Default: 'synthetic'.",
        ),
    ] = None,
    noise: Annotated[bool, Option("", "Use noise from --seed instead of a corpus.")] = False,
    clips: Annotated[int, Option("N", "Number of clips to compare.")] = 8,
    seconds: Annotated[float, Option("S", "Length of each clip in seconds, from its start.")] = 4.0,
    set: PresetSettings = (),
    out: Annotated[
        Path | None,
        Option(
            "DIR",
            "Folder for propagation.json and the figure (SVG and PNG). Without it, only the "
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

    SQNR is the signal-to-quantization-noise ratio.  At 0 dB, noise and signal have the same power.
    A mixed encoder (attention and convolution) is compared with an attention-only encoder.  A net
    coherence between roles above 0 means that errors of different roles add up more in the mixed
    encoder (docs/propagation.md).
    """
    check_models((*models, *teacher), () if plan is None else (plan,))
    if corpus is not None:
        require_corpus(corpus)
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


def curves(
    folders: Annotated[
        tuple[Path, ...],
        Positional(
            "DIR", "Output folders of trainings. Every log.jsonl in or below them is drawn."
        ),
    ],
    out: Annotated[
        Path | None,
        Option("FILE.png", "Draw the figure. Without it, only the last values are printed."),
    ] = None,
    json: Json = None,
) -> None:
    """Draws loss, accuracy, validation, learning rate and gradient norm of trainings.

      earbit curves float --out curves.png
      earbit curves first second --out both.png

    Also draws unfinished runs.  Works for `pretrain`, `quantize` and `superb --finetune`.
    """
    from earbit.pretrain.curves import curves as curves_of
    from earbit.pretrain.curves import render_curves

    result = curves_of(folders, out)
    emit(result, json, render_curves(result))


def report(
    folder: Annotated[Path, Positional("DIR", "Output folder of a study, or its results.json.")],
    other: Annotated[
        Path | None, Positional("DIR2", "Another study, which is compared with the first.")
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            "FILE.html",
            "The page to write. Default: DIR/report.html, and DIR/comparison.html for two studies.",
        ),
    ] = None,
) -> None:
    """Makes the report of a study again from its results, or compares two studies.

      earbit report study
      earbit report study other-study --out both.html

    The page needs no network and holds the results as JSON and CSV (docs/report.md).
    """
    from earbit.study.report.verb import report as write

    print_text(f"wrote {write(folder, other, out)}")
