"""The command line: one verb per stage.  Heavy imports happen inside the verb that needs them.

Exit status: 0 on success, 2 on a user's error (one line on standard error), 1 on a bug of ours.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from earbit.arguments import parse
from earbit.errors import DataError, EarbitError, UnsupportedError
from earbit.output import emit, print_json

Json = Annotated[
    Path | None, arg(metavar="FILE", help="Write the result as JSON to this file; - is stdout.")
]
Settings = UseAppendAction[tuple[tuple[str, ...], ...]]
Seed = Annotated[int, arg(help="Seed of everything random.")]


def study(
    corpus: Annotated[
        str, arg(help="'synthetic', or a folder of audio (see prepare).")
    ] = "synthetic",
    scale: Annotated[
        Literal["tiny"], arg(help="Steps of training; tiny ends in minutes on two cores.")
    ] = "tiny",
    encoders: Annotated[tuple[str, ...], arg(help="Presets to compare.")] = (
        "hubert-tiny",
        "sparseformer-dn-tiny",
    ),
    out: Path = Path("earbit-study"),
    seed: Seed = 0,
) -> None:
    """The whole comparison: pre-train, binarize, cost, score, export, measure, report.

    A corpus needs `keyword` labels, which the score is made from (docs/corpus.md).  Started again
    after a kill, it goes on where it was.  Results: OUT/results.json and report.html.
    """
    from earbit.study.run import run_study

    report = run_study(corpus, encoders, scale=scale, out_dir=out, seed=seed)
    print(report)


def prepare(
    corpus: Annotated[Positional[str], arg(help="'folder', with --root, or 'synthetic'.")],
    out: Path,
    root: Annotated[
        Path | None, arg(metavar="DIR", help="The audio, with or without manifest.jsonl.")
    ] = None,
) -> None:
    """Looks a corpus over: what is in it, what is broken, which tasks its labels serve.

    Results: OUT/manifest.json, OUT/quarantine.jsonl.
    """
    from earbit.audio.prepare import corpus_of
    from earbit.audio.prepare import prepare as prepare_corpus

    print_json(prepare_corpus(corpus_of(corpus, root), out))


def units(
    corpus: Annotated[Positional[str], arg(help="'synthetic', or a folder of audio.")],
    out: Path,
    feature: Literal["mfcc"] = "mfcc",
    n_units: int = 100,
    seed: Seed = 0,
) -> None:
    """Acoustic units: features, k-means, a label per frame.  Results: OUT/units.json and files."""
    from earbit.pretrain.corpus import decoded_corpus, discover

    opened, waveforms = decoded_corpus(corpus, out)
    print_json(discover(opened, waveforms, out, n_units=n_units, seed=seed))


def pretrain(
    recipe: Annotated[
        Positional[Path], arg(help="A .py file with recipe(), or a saved config.json.")
    ],
    out: Path,
    set: Annotated[
        Settings,
        arg(metavar="KEY=VALUE", help="Overrides, as train.optimiser.n_steps=500 corpus=DIR."),
    ] = (),
) -> None:
    """Masked prediction of units; resumes by itself.  Results: OUT/model.safetensors, log.jsonl.

    Every field of OUT/config.json can be set; units=DIR takes the units of `earbit units`.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UnsupportedError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']}: training on several processes does not exist "
            "yet; start it without torchrun"
        )
    from earbit.pretrain.recipe import load_recipe
    from earbit.pretrain.verb import pretrain as pretrain_recipe

    print_json(pretrain_recipe(load_recipe(recipe, [one for group in set for one in group]), out))


def binarize(
    model: Annotated[Positional[str], arg(help="A model folder or file of ours, or a preset.")],
    out: Path,
    plan: Annotated[
        tuple[str, ...], arg(help="Plans, or files of yours; one for each stage, in order.")
    ] = ("w1a2", "w1a1"),
    corpus: Annotated[str, arg(help="'synthetic', or a folder of audio.")] = "synthetic",
    n_steps: Annotated[int, arg(help="Of every stage.")] = 300,
    seed: Seed = 0,
    set: Annotated[Settings, arg(metavar="KEY=VALUE", help="As weights.logits=1.")] = (),
) -> None:
    """Fewer bits: calibrate, then train with quantization in it.  Result: OUT/model.safetensors.

    Each stage is the teacher and the start of the next.  Loss, calibration and optimiser can be
    set, as in --set weights.logits=1 calibration.scale=least-squares train.optimiser.peak_lr=5e-4
    """
    from earbit.quantize.verb import binarize as binarize_model

    settings = [one for group in set for one in group]
    print_json(
        binarize_model(model, plan, corpus, out, n_steps=n_steps, seed=seed, settings=settings)
    )


def errors(
    models: Annotated[
        Positional[tuple[str, ...]], arg(help="Models of ours or presets; several are compared.")
    ],
    plan: Annotated[
        str | None, arg(metavar="PLAN", help="Quantizes them, w1a1 if nothing else is said.")
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
    """Where quantization noise arises and how it propagates, by module, kind and encoder."""
    from earbit.quantize.propagation.verb import errors_of_models

    text, result = errors_of_models(
        models,
        plan=plan,
        teachers=teacher,
        corpus=corpus,
        is_noise=noise,
        n_clips=clips,
        seconds=seconds,
        settings=[one for group in set for one in group],
        seed=seed,
        out_dir=out,
    )
    emit(result, json, text)


def profile(
    models: Annotated[Positional[tuple[str, ...]], arg(help="Presets or models of ours.")],
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
    all: Annotated[bool, arg(help="The paper's Table 1: its models under all plans.")] = False,
    figure: Annotated[
        Path | None, arg(metavar="FILE.svg", help="Draw where the cost sits and how it grows.")
    ] = None,
    json: Json = None,
) -> None:
    """What a model costs: parameters, storage, MACs, FLOPs, BOPs, memory, estimated times."""
    from earbit.cost.verb import profile_as_the_paper, profile_models

    settings = [one for group in set for one in group]
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


def export(
    model: Annotated[Positional[str], arg(help="A model folder or file of ours, or a preset.")],
    out: Annotated[Path, arg(help="The program file, .safetensors.")],
    plan: Annotated[
        str | None, arg(metavar="PLAN", help="Quantize a full-precision model on the way.")
    ] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Packs a model into one file that runs without PyTorch, and verifies it against PyTorch."""
    from earbit.export.verb import export_model

    result = export_model(model, out, plan=plan, seed=seed)
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
        f"largest difference {agreement['max_abs_error']:.2g}",
    )


def run(
    file: Annotated[Positional[Path], arg(help="A file of `earbit export`.")],
    audio: Annotated[
        Positional[tuple[Path, ...]], arg(help="Audio files or folders; any rate, any channels.")
    ],
    out: Annotated[
        Path | None, arg(metavar="FILE.npz", help="Features by file name, as .npz.")
    ] = None,
    layers: Literal["last", "all"] = "last",
    threads: int = 1,
    json: Json = None,
) -> None:
    """Features of audio files, without PyTorch.

    Files that cannot be used are left out; then the exit status is 2, and the rest is written.
    """
    from earbit.run import run_files

    records = run_files(file, audio, out, layers=layers, threads=threads)
    emit(records, json, None)
    n_bad = sum("error" in record for record in records)
    if n_bad:
        raise DataError(f"{n_bad} of {len(records)} files left out, see above; the rest is done")


def bench(
    file: Annotated[
        Positional[str], arg(help="A file of `earbit export`; or, with --plan, a preset or model.")
    ],
    plan: Annotated[
        str | None, arg(metavar="PLAN", help="Export FILE, a preset or model, under it.")
    ] = None,
    seconds: Annotated[float, arg(help="Length of the audio.")] = 10.0,
    threads: int = 1,
    against: Annotated[str, arg(help="Engines beside it, with commas between.")] = "torch",
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Measured time and memory of a program, beside PyTorch on the same machine."""
    from earbit.cost.bench import bench as bench_engines
    from earbit.cost.bench import render_bench

    engines = [name for name in against.split(",") if name]
    with _program_of(file, plan, seed) as program:
        records = bench_engines(program, seconds=seconds, threads=threads, against=engines)
    emit(records, json, render_bench(records))


def doctor(json: Json = None) -> None:
    """CPU features, the kernels chosen for them, a self-test of every kernel, versions."""
    from earbit.runtime.doctor import examine, render_doctor

    result = examine()
    emit(result, json, render_doctor(result))
    if not result["ok"]:
        raise SystemExit(1)


VERBS: dict[str, Callable[..., None]] = {
    "study": study,
    "prepare": prepare,
    "units": units,
    "pretrain": pretrain,
    "binarize": binarize,
    "errors": errors,
    "profile": profile,
    "superb": superb,
    "export": export,
    "run": run,
    "bench": bench,
    "doctor": doctor,
}


def main(args: Sequence[str] | None = None) -> None:
    """Runs one verb and exits."""
    # Threads of PyTorch that wait for each other spin for milliseconds; beside any other busy
    # process that makes small steps a hundred times slower.  Read when PyTorch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        parse(VERBS, args)()
    except EarbitError as error:
        print(f"earbit: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        # The reader of our output has gone (`earbit doctor | head`); that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        print("earbit: interrupted; what was finished is kept", file=sys.stderr)
        raise SystemExit(130) from None


@contextlib.contextmanager
def _program_of(where: str, plan: str | None, seed: int) -> Iterator[Path]:
    """A program file as it is; a preset or model is exported for as long as it is needed."""
    if plan is None:
        yield Path(where)
        return
    from earbit.export.verb import export_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.safetensors"
        export_model(where, path, plan=plan, seed=seed)
        yield path
