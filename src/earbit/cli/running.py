"""Verbs around a packed program: make it, run it, measure it, look at the machine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from earbit.cli.options import Json, Seed, Settings, flat
from earbit.errors import ConfigError, DataError
from earbit.output import emit


def export(
    model: Annotated[Positional[str], arg(help="A model folder or file of ours, or a preset.")],
    out: Annotated[Path, arg(help="The program file, .safetensors.")],
    plan: Annotated[
        str | None, arg(metavar="PLAN", help="Quantize a full-precision model on the way.")
    ] = None,
    head: Annotated[
        Path | None, arg(metavar="DIR", help="Pack the head that `earbit superb` trained on it.")
    ] = None,
    set: Annotated[
        Settings, arg(metavar="KEY=VALUE", help="Of a preset, as encoder.pattern=strided.")
    ] = (),
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Packs a model into one file that runs without PyTorch, and verifies it against PyTorch."""
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
    file: Annotated[Positional[Path], arg(help="A file of `earbit export`.")],
    audio: Annotated[
        Positional[tuple[Path, ...]], arg(help="Audio files or folders; any rate, any channels.")
    ],
    out: Annotated[
        Path | None,
        arg(metavar="FILE.npz", help="Features by file name, and scores of a head, .npz."),
    ] = None,
    layers: Literal["last", "all"] = "last",
    threads: int = 1,
    json: Json = None,
) -> None:
    """Features of audio files, and labels by a program with a head, without PyTorch.

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
        Positional[str],
        arg(help="A program, a model folder; with --plan, a preset too."),
    ],
    plan: Annotated[
        tuple[str, ...], arg(metavar="PLAN", help="Export FILE, a preset or model, under each.")
    ] = (),
    seconds: Annotated[tuple[float, ...], arg(help="Lengths of the audio.")] = (10.0,),
    threads: Annotated[tuple[int, ...], arg(help="How many threads; each is measured.")] = (1,),
    engines: Annotated[
        tuple[str, ...],
        arg(help="Beside it: all, or some of torch, onnxruntime, openvino; -bf16, -int8 of them."),
    ] = ("torch",),
    set: Annotated[
        Settings, arg(metavar="KEY=VALUE", help="Of a preset, as encoder.pattern=strided.")
    ] = (),
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Measured time and memory of programs, beside other engines on the same machine."""
    from earbit.cost.bench_verb import bench_all

    settings = flat(set)
    with _programs_of(file, plan, seed, settings) as (programs, model):
        text, result = bench_all(
            programs, model=model, seconds=seconds, threads=threads, engines=engines
        )
    emit(result, json, text)


def doctor(json: Json = None) -> None:
    """CPU features, the kernels chosen for them, a self-test of every kernel, versions."""
    from earbit.runtime.doctor import examine, render_doctor

    result = examine()
    emit(result, json, render_doctor(result))
    if not result["ok"]:
        raise SystemExit(1)


@contextlib.contextmanager
def _programs_of(
    where: str, plans: Sequence[str], seed: int, settings: Sequence[str]
) -> Iterator[tuple[dict[str, Path], Path | None]]:
    """A program file as it is; or a model under every plan, and itself in float, while needed.

    A folder is a model's, which is taken as it is when there are no plans.
    """
    if settings and not plans:
        raise ConfigError(f"--set {' '.join(settings)} without --plan; it is for presets")
    if not plans and not Path(where).is_dir():
        yield {"": Path(where)}, None
        return
    from earbit.export.verb import export_model
    from earbit.model_file import save_model
    from earbit.quantize.load import float_twin, preset_or_model

    with tempfile.TemporaryDirectory() as folder:
        programs = {
            plan: Path(folder) / f"{i}.safetensors"
            for i, plan in enumerate(dict.fromkeys(plans or ("",)))
        }
        for plan, path in programs.items():
            export_model(where, path, plan=plan or None, seed=seed, settings=settings)
        model = Path(folder) / "model.safetensors"
        save_model(float_twin(preset_or_model(where, seed, settings)), model, {})
        yield programs, model
