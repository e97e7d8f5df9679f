"""Verbs around a packed program: make it, run it, measure it, look at the machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from earbit.bench.peers.catalogue import PEERS
from earbit.cli.bench_programs import check_programs, programs_of
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
from earbit.errors import DataError
from earbit.model_names import refuse_program, require_model
from earbit.output import emit
from earbit.progress import say
from earbit.quantize.plan import plan_named


def export(
    model: Model,
    out: Annotated[
        Path, arg(metavar="FILE.safetensors", help="The program that `earbit run` takes.")
    ],
    plan: Annotated[
        str | None,
        arg(
            metavar="PLAN",
            help="Quantize a full-precision model, without training; without it the model is "
            f"packed as it is. {PLANS_ARE}",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
    head: Annotated[
        Path | None,
        arg(
            metavar="DIR",
            help="The folder of `earbit superb` on this model; its head is packed too.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
    set: PresetSettings = (),
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Packs a model into one file that runs without PyTorch, and verifies it against PyTorch.

      earbit export onebit --out onebit.safetensors
      earbit export hubert-base --plan w1a1 --out hubert.safetensors

    What plans do: docs/quantization.md.
    """
    # Before PyTorch is imported, which takes seconds.
    from earbit.export.out_file import require_program_place

    require_program_place(out)
    require_model(model)
    refuse_program(model, f"`earbit run {model} AUDIO` takes it as it is")
    if plan is not None:
        plan_named(plan)
    from earbit.export.verb import export_model

    settings = flat(set)
    result = export_model(model, out, plan=plan, seed=seed, head=head, settings=settings)
    agreement = result["agreement"]
    bits = (
        f"{100 * agreement['bit_agreement']:.4f} % of bits equal "
        f"(worst {100 * agreement['worst_bit_agreement']:.4f} % at {agreement['worst_leaf']}), "
    )
    emit(
        result,
        json,
        f"{result['file']}: {result['bytes'] / 1e6:.2f} MB; against PyTorch on "
        f"{agreement['n_frames']} frames: {bits if agreement['worst_leaf'] != 'none' else ''}"
        f"output cosine {agreement['output_cosine']:.6f}, "
        f"largest difference {agreement['max_abs_error']:.2g}"
        f"{_of_head(result['head']) if 'head' in result else ''}",
    )


def _of_head(agreement: dict[str, Any]) -> str:
    label, torch_label = agreement["label"], agreement["torch_label"]
    of_torch = "as PyTorch" if label == torch_label else f"but PyTorch says {torch_label!r}"
    return (
        f"; head says {label!r} {of_torch}, "
        f"largest difference of scores {agreement['max_abs_error']:.2g}"
    )


def run(
    file: Annotated[
        Positional[Path], arg(metavar="PROGRAM", help="A file that `earbit export` wrote.")
    ],
    audio: Annotated[
        Positional[tuple[Path, ...]],
        arg(
            metavar="AUDIO ...",
            help="Files (wav, flac, ogg, opus, mp3; any rate, any channels), or folders of them.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ],
    out: Annotated[
        Path | None,
        arg(
            metavar="FILE.npz",
            help="Where features go, an array (frames, width) for each file by its name; with the "
            "scores of a program's head. Without it they are not kept.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
    layers: Annotated[
        Literal["last", "all"],
        arg(
            help="Features of the last layer; or of all, an array (layers + 1, frames, width) that "
            "begins with the encoder's input."
        ),
    ] = "last",
    threads: Annotated[
        int, arg(metavar="N", help="Processor cores for a file; results do not depend on it.")
    ] = 1,
    json: Json = None,
) -> None:
    """Features of audio files, and labels by a program with a head, without PyTorch.

      earbit run hubert.safetensors speech.wav --out features.npz
      earbit run words.safetensors my-audio --json words.json

    On a terminal the result is a table, elsewhere JSON, as with --json -.
    Files that cannot be used are left out; then the exit status is 2, and the rest is written.
    After Ctrl-C, the files that were done are; where FILE.npz exists it stays, and they go to
    FILE.partial.npz.
    """
    from earbit.run import NoneUsable, RunInterrupted, render_run, run_files

    def show(records: list[dict[str, Any]]) -> None:
        emit(records, json, render_run(records) if sys.stdout.isatty() else None)

    try:
        records = run_files(file, audio, out, layers=layers, threads=threads)
    except (NoneUsable, RunInterrupted) as early:
        show(early.summary)
        raise
    show(records)
    has_labels = any("label" in record for record in records)
    if out is None and not has_labels and sys.stderr.isatty():
        say("the features are not kept; --out FILE.npz keeps them")
    n_bad = sum("error" in record for record in records)
    if n_bad:
        raise DataError(f"{n_bad} of {len(records)} files left out, see above; the rest is done")


def bench(
    file: Annotated[
        Positional[str],
        arg(
            metavar="WHAT",
            help="A program of `earbit export`, or a folder of a model that earbit trained; with "
            f"--plan also a preset, which has random weights. {PRESETS_ARE}",
        ),
    ],
    plan: Annotated[
        tuple[str, ...],
        arg(
            metavar="PLAN ...",
            help=f"Export WHAT, a preset or model, under each, and measure that. {PLANS_ARE}",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = (),
    seconds: Annotated[
        tuple[float, ...], arg(metavar="S ...", help="Lengths of the audio; each is measured.")
    ] = (10.0,),
    threads: Annotated[
        tuple[int, ...],
        arg(metavar="N ...", help="Processor cores for a run; each number is measured."),
    ] = (1,),
    runs: Annotated[
        int | None,
        arg(
            metavar="N",
            help="Runs of each, of which the median is taken. Without it 15, or fewer, at least 5, "
            "when they take more than two minutes.",
            help_behavior_hint=NO_DEFAULT,
        ),
    ] = None,
    engines: Annotated[
        tuple[str, ...],
        arg(
            metavar="ENGINE ...",
            help=f"Measured beside it: none, all, or some of {', '.join(PEERS)}.",
        ),
    ] = ("torch",),
    set: PresetSettings = (),
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Measured time and memory of programs, beside other engines on the same machine.

      earbit bench hubert.safetensors
      earbit bench hubert-base --plan w1a1 w8a8 --seconds 1 10 --threads 1 2 --json times.json
      earbit bench hubert-tiny --plan w1a1 --engines none --runs 5

    With several lengths or numbers of threads each is reported when it is measured; after Ctrl-C,
    the table and the JSON have those that were.
    """
    # What can be wrong is found before PyTorch is imported, which takes seconds.
    from earbit.bench.peers.catalogue import peers_named
    from earbit.bench.points import check_runs, points_of
    from earbit.bench.quiet import warn_of_disturbance

    settings, points = flat(set), points_of(seconds, threads)
    check_runs(runs)
    check_programs(file, plan, settings)
    peers = peers_named(engines)
    warn_of_disturbance(threads)
    from earbit.bench.verb import bench_all

    def keep(text: str, result: dict[str, Any]) -> None:
        emit(result, json, text)

    with programs_of(file, plan, seed, settings) as (programs, model):
        bench_all(programs, points, keep, model=model, engines=peers, n_runs=runs)


def doctor(json: Json = None) -> None:
    """CPU features, the kernels chosen for them, a self-test of every kernel, versions."""
    from earbit.runtime.doctor import examine, render_doctor

    result = examine()
    emit(result, json, render_doctor(result))
    if not result["ok"]:
        raise SystemExit(1)
