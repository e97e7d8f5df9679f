"""`earbit export`: lower, pack, write, load again, verify against PyTorch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earbit.config import to_dict
from earbit.errors import ConfigError, DataError
from earbit.export.head import ModelHead, head_of, lower_head, verify_head
from earbit.export.lower import lower_model
from earbit.export.out_file import require_program_place
from earbit.export.program import write_program
from earbit.export.verify import Agreement, verify
from earbit.files import make_folder
from earbit.load import preset_or_model, refuse_quantized
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.presets import PRESETS
from earbit.progress import say
from earbit.quantize.convert import precisions_of
from earbit.quantize.plan import plan_named
from earbit.quantize.student import noise_clips, plan_for, quantized_copy
from earbit.runtime.session import Session
from earbit.superb.finished import SCORES_NAME
from earbit.superb.head_file import head_path

MIN_BIT_AGREEMENT = 0.999
"""Minimum fraction of equal bits, because equal layers differ only by the order of float sums."""


def _float_agreement(agreement: Agreement) -> float:
    """Cosine of the outputs of a float model; else 1, because flipped bits change outputs."""
    return agreement.output_cosine if agreement.worst_leaf == "none" else 1.0


def model_of(
    where: str, *, plan: str | None, seed: int, settings: Sequence[str] = ()
) -> AudioModel:
    """Builds a model by preset (random weights from the seed) or path, quantized by `plan`.

    The plan is calibrated on seeded noise, which suffices for costs and times, but not for quality.
    settings: `path=value` for a preset.  Raises ConfigError for unknown names, for settings of a
    file, and for a plan on a quantized model.
    """
    model = preset_or_model(where, seed, settings)
    if plan is None:
        return model
    refuse_quantized(where, model, "leave out --plan")
    plan_for(where, model, plan)
    return quantized_copy(model, plan, noise_clips(seed)).eval()


def model_and_head(
    where: str,
    *,
    plan: str | None = None,
    seed: int = 0,
    head: Path | None = None,
    settings: Sequence[str] = (),
) -> tuple[AudioModel, ModelHead | None]:
    """The model that `export` writes, and its head if `head` names a folder of `earbit superb`.

    Warns of random weights and of plans without training, whose features are useless.
    """
    if head is not None:
        _require_scored(head)
    model = model_of(where, plan=plan, seed=seed, settings=settings)
    trained = None if head is None else head_of(model, head, name=where)
    if where in PRESETS:
        say(f"{where}: random weights of seed {seed}; good for size and time, not for features")
    elif plan is not None and any(not p.is_float for _, p in plan_named(plan).rules):
        say(
            f"{where}: not trained under {plan}, so its features are poor; "
            f"earbit quantize {where} --plan {plan} trains it"
        )
    return model, trained


def export_model(
    where: str,
    out: Path,
    *,
    plan: str | None = None,
    seed: int = 0,
    head: Path | None = None,
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    """Exports a model and measures the agreement of the program with PyTorch on seeded noise.

    head: a folder of `earbit superb` on this model, whose head is packed with it.
    settings: `path=value` for the configuration of a preset.
    Checks that `out` can be written before the model is built.
    """
    require_program_place(out)
    model, packed = model_and_head(where, plan=plan, seed=seed, head=head, settings=settings)
    waveform = noise_clips(seed + 1, n_clips=1)[0]
    return export_to(model, out, name=where, waveform=waveform, head=packed)


def _require_scored(head: Path) -> None:
    """Raises ConfigError for a folder with a head that `earbit superb` has not scored yet."""
    if head_path(head) != head and head_path(head).is_file() and not (head / SCORES_NAME).is_file():
        raise ConfigError(
            f"{head}: no {SCORES_NAME}, so its run did not finish; give the same `earbit superb` "
            f"command again, or {head_path(head)} for the head as it is"
        )


def export_scored(model: AudioModel, out: Path, head: Path | None) -> None:
    """Exports a model that is being scored, with the head in a folder if one is given."""
    packed = None if head is None else head_of(model, head, name=str(out.parent))
    waveform = noise_clips(1, n_clips=1)[0]
    export_to(model, out, name=str(out.parent), waveform=waveform, head=packed)


def export_to(
    model: AudioModel,
    out: Path,
    *,
    name: str,
    waveform: np.ndarray,
    head: ModelHead | None = None,
) -> dict[str, Any]:
    """Verifies the program of a model with its head on `waveform`, and writes it to `out`.

    Raises DataError for a model whose output is not finite, and RuntimeError, a bug in earbit, for
    a program that differs from its model.
    """
    require_program_place(out)
    make_folder(out.parent)
    # From few bits to float, so that the precision of the plan comes first.
    precisions = sorted(
        set(precisions_of(model).values()), key=lambda p: (p.weight_bits, p.activation_bits)
    )
    origin = {
        "name": name,
        "precisions": [str(precision) for precision in precisions],
        "config": to_dict(model.config),
        "model_digest": weights_digest(model),
    }
    unverified = out.with_name(f".{out.stem}.{os.getpid()}.unverified.safetensors")
    try:
        program = lower_model(model)
        if head is not None:
            lower_head(program, head)
        write_program(program, unverified, origin)
        session = Session(unverified)
        agreement = verify(model, session, waveform)
        if min(agreement.bit_agreement, _float_agreement(agreement)) < MIN_BIT_AGREEMENT:
            raise RuntimeError(f"{name}: the program disagrees with its model: {agreement}")
        of_head = None if head is None else verify_head(head, model, session, waveform)
        unverified.replace(out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error})") from error
    finally:
        unverified.unlink(missing_ok=True)
    result = {"file": str(out), "bytes": out.stat().st_size, "agreement": agreement.as_dict()}
    return result if of_head is None else {**result, "head": of_head.as_dict()}
