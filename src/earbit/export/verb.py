"""`earbit export`: lower, pack, write, load again, verify against PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.config import to_dict
from earbit.errors import DataError
from earbit.export.head import ModelHead, head_of, lower_head, verify_head
from earbit.export.lower import lower_model
from earbit.export.out_file import require_program_place
from earbit.export.prepared_model import prepared_model
from earbit.export.program import write_program
from earbit.export.verify import Agreement, verify
from earbit.files import make_folder
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.nn.evaluation import evaluating
from earbit.quantize.convert import precisions_of
from earbit.quantize.student import noise_clips
from earbit.runtime.session import Session
from earbit.temporary import temporary_beside

MIN_BIT_AGREEMENT = 0.999
"""Minimum fraction of equal bits, because equal layers differ only by the order of float sums."""

MAX_FRAME_ERROR = 1e-3
"""Maximum median of the relative errors of frames, which are 1e-6 if only float sums differ."""

MAX_STATE_ERROR = 0.05
"""Maximum relative error of all frames of a state."""

UNVERIFIED = ".unverified.safetensors"
"""End of the name of a program before it is verified."""

MAX_SAMPLES = 10 * SAMPLE_RATE_HZ
"""Samples per clip of a corpus on which the agreement is measured."""


def agrees(agreement: Agreement) -> bool:
    """Returns whether a program computes its model up to the order of float sums."""
    return (
        agreement.bit_agreement >= MIN_BIT_AGREEMENT
        and agreement.frame_error <= MAX_FRAME_ERROR
        and agreement.state_error <= MAX_STATE_ERROR
    )


def export_model(
    where: str,
    out: Path,
    *,
    plan: str | None = None,
    seed: int = 0,
    head: Path | None = None,
    settings: Sequence[str] = (),
    corpus: str | None = None,
) -> dict[str, Any]:
    """Exports a model and measures the agreement of the program with PyTorch.

    Arguments and errors are those of `prepared_model`.  The agreement is that on seeded noise, or
    on clips of `corpus`, with which `float_cosine` compares the program and the float model too.
    Checks that `out` can be written before the model is built.
    """
    require_program_place(out)
    prepared = prepared_model(
        where, plan=plan, seed=seed, head=head, settings=settings, corpus=corpus
    )
    clips = prepared.clips
    waveform = clips[0][:MAX_SAMPLES] if clips else noise_clips(seed + 1, n_clips=1)[0]
    result = export_to(prepared.model, out, name=where, waveform=waveform, head=prepared.head)
    if clips:
        result["float_cosine"] = float_cosine(prepared.given, Session(out), clips)
    return result


@torch.no_grad()
def float_cosine(model: AudioModel, session: Session, clips: list[np.ndarray]) -> float:
    """Cosine of the last states of a program and of the model before its quantization.

    All frames of the first `MAX_SAMPLES` of all clips are one vector.
    """
    sums = np.zeros(3)
    with evaluating(model):
        for clip in clips:
            cut = clip[:MAX_SAMPLES]
            theirs = model(torch.from_numpy(cut)[None]).states[-1][0].double().numpy().ravel()
            ours = session.run(cut).astype(float).ravel()
            sums += (theirs @ ours, theirs @ theirs, ours @ ours)
    return float(sums[0] / np.sqrt(sums[1] * sums[2])) if sums[1] and sums[2] else 1.0


def export_scored(model: AudioModel, out: Path, head: Path | None) -> None:
    """Exports a model that is being scored, with the head in a folder if one is given."""
    packed = None if head is None else head_of(model, head, name=str(out.parent))
    waveform = noise_clips(1, n_clips=1)[0]
    export_to(model, out, name=str(out.parent), waveform=waveform, head=packed)


def export_to(
    model: AudioModel,
    out: str | Path,
    *,
    name: str,
    waveform: np.ndarray,
    head: ModelHead | None = None,
) -> dict[str, Any]:
    """Verifies the program of a model with its head on `waveform`, and writes it to `out`.

    Raises DataError for a model whose output is not finite, and RuntimeError, a bug in earbit, for
    a program that differs from its model.
    """
    out = Path(out)
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
    unverified = temporary_beside(out, UNVERIFIED)
    try:
        program = lower_model(model)
        if head is not None:
            lower_head(program, head)
        write_program(program, unverified, origin)
        session = Session(unverified)
        agreement = verify(model, session, waveform)
        if not agrees(agreement):
            raise RuntimeError(f"{name}: the program disagrees with its model: {agreement}")
        of_head = None if head is None else verify_head(head, model, session, waveform)
        unverified.replace(out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error})") from error
    finally:
        unverified.unlink(missing_ok=True)
    result = {"file": str(out), "bytes": out.stat().st_size, "agreement": agreement.as_dict()}
    return result if of_head is None else {**result, "head": of_head.as_dict()}
