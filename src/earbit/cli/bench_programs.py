"""Arguments of `earbit bench`: validated first, exported if they are not programs."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.errors import ConfigError
from earbit.extras import needed_for_training
from earbit.foreign import refuse_foreign
from earbit.model_names import refuse_program, require_model
from earbit.presets import PRESETS
from earbit.shipped import program_path


def check_programs(
    where: str, plans: Sequence[str], settings: Sequence[str], seed: int = 0
) -> None:
    """Raises ConfigError or FormatError for invalid names and files, without importing PyTorch."""
    from earbit.quantize.plan import PLANS, plan_named

    is_program = not plans and not program_path(where).is_dir()
    if not plans and where in PRESETS and not Path(where).is_file():
        raise ConfigError(
            f"{where}: a preset, and no --plan to export it under; give one or several, as "
            f"`earbit bench {where} --plan w1a1`; plans: {', '.join(PLANS)}"
        )
    if settings and not plans:
        raise ConfigError(f"--set {' '.join(settings)} without --plan; it is for presets")
    if seed and not plans:
        raise ConfigError(
            f"--seed {seed} without --plan; it is for the random weights of presets, leave it out"
        )
    if is_program:
        from earbit.runtime.program_file import read_program

        refuse_foreign(program_path(where), "a program that `earbit export` wrote")
        read_program(where)
        return
    for plan in plans:
        plan_named(plan)
    require_model(where)
    refuse_program(where, "leave out --plan")


def described(where: str, programs: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Record of each measured program: file, name of its model, plan, precisions and digests.

    `file` is None for a program that was made for the measurement; `plan` is None for a file,
    which does not record it.
    """
    from earbit.runtime.program_file import file_digest, read_program

    records = []
    for plan, path in programs.items():
        origin = read_program(path).origin
        records.append(
            {
                "file": where if path == program_path(where) else None,
                "name": origin.get("name"),
                "plan": plan or None,
                "precisions": origin.get("precisions"),
                "digest": file_digest(path),
                "model_digest": origin.get("model_digest"),
            }
        )
    return records


@contextlib.contextmanager
def programs_of(
    where: str, plans: Sequence[str], seed: int, settings: Sequence[str]
) -> Iterator[tuple[dict[str, Path], Path | None]]:
    """Yields programs by plan, and the file of the model in float that they were made from.

    Without plans, a file is taken as a program and a folder as a model with its own precisions.
    There is no model in float for a program, and none for a model that was trained with
    quantization: its weights without quantization give other features.  Raises UnsupportedError
    where packages that make programs are missing.
    """
    if not plans and not program_path(where).is_dir():
        yield {"": program_path(where)}, None
        return
    try:
        from earbit.export.verb import export_model
        from earbit.load import preset_or_model
        from earbit.model_file import save_model
        from earbit.quantize.convert import quantized_leaves_of
    except ModuleNotFoundError as missing:
        purpose = f"{where}: a program of this {'preset' if where in PRESETS else 'model'}"
        error = needed_for_training(missing, purpose, "give a program file of `earbit export`")
        if error is None:
            raise
        raise error from missing

    with tempfile.TemporaryDirectory() as folder:
        programs = {
            plan: Path(folder) / f"{i}.safetensors"
            for i, plan in enumerate(dict.fromkeys(plans or ("",)))
        }
        for plan, path in programs.items():
            export_model(where, path, plan=plan or None, seed=seed, settings=settings)
        model = preset_or_model(where, seed, settings)
        if quantized_leaves_of(model):
            yield programs, None
            return
        file = Path(folder) / "model.safetensors"
        save_model(model, file, {})
        yield programs, file
