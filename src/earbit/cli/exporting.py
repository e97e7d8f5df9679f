"""The command that writes models for the runtime and for other programs (export)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from earbit.audio.corpus_names import require_corpus
from earbit.cli.arguments import Option
from earbit.cli.options import PLANS_ARE, Json, Model, PresetSettings, Seed
from earbit.model_names import refuse_program, require_model
from earbit.output import emit
from earbit.quantize.plan import plan_named


def export(
    model: Model,
    out: Annotated[
        Path,
        Option("FILE.safetensors|DIR", "Program file to write, or folder for the other formats."),
    ],
    plan: Annotated[
        str | None,
        Option(
            "PLAN",
            "Quantize a full-precision model first, without training. Without it, the model is "
            f"packed as it is. {PLANS_ARE}",
        ),
    ] = None,
    head: Annotated[
        Path | None,
        Option(
            "DIR",
            "Output folder of `earbit superb` or `import`, whose head for this model is packed.",
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        Option(
            "CORPUS",
            "Folder of audio, or 'synthetic', on which --plan is calibrated and compared with the "
            "float model. Without it, --plan is calibrated on noise.",
        ),
    ] = None,
    format: Annotated[
        Literal["program", "hf", "onnx"],
        Option(
            "program|hf|onnx",
            "A program for `earbit run`, a folder for transformers, or a folder with an ONNX file.",
        ),
    ] = "program",
    set: PresetSettings = (),
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Packs a model into a program file that runs without PyTorch, and verifies it.

      earbit export onebit --out onebit.safetensors
      earbit export onebit --head onebit-ks --out words.safetensors
      earbit export hubert --plan w8a8 --corpus my-audio --out hubert-w8a8.safetensors
      earbit export hubert-base --plan w1a1 --out hubert.safetensors
      earbit export float --format hf --out for-transformers

    The program is compared with the model in PyTorch, leaf by leaf.  docs/quantization.md describes
    the plans, docs/other-formats.md the other formats.
    """
    # Before PyTorch is imported, which takes seconds.
    if format == "program":
        from earbit.export.out_file import require_program_place

        require_program_place(out)
    require_model(model)
    refuse_program(model, f"`earbit run {model} AUDIO` takes it as it is")
    if plan is not None:
        plan_named(plan)
    if corpus is not None:
        require_corpus(corpus)
    settings = set
    if format != "program":
        from earbit.hub.export import export_to_format, rendered

        result = export_to_format(
            format,
            model,
            out,
            plan=plan,
            seed=seed,
            head=head,
            settings=settings,
            corpus=corpus,
        )
        emit(result, json, rendered(result))
        return
    from earbit.export.rendered import rendered_program
    from earbit.export.verb import export_model

    result = export_model(
        model, out, plan=plan, seed=seed, head=head, settings=settings, corpus=corpus
    )
    emit(result, json, rendered_program(result))
