"""`earbit export`: lower, pack, write, load again, verify against PyTorch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earbit.audio.corpus import open_corpus, say_ignored
from earbit.audio.rate import SAMPLE_RATE_HZ
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
from earbit.model_file import read_model_file
from earbit.model_names import model_path
from earbit.nn.evaluation import evaluating
from earbit.presets import PRESETS
from earbit.progress import say
from earbit.quantize.clips import audio_of
from earbit.quantize.convert import precisions_of
from earbit.quantize.plan import plan_named
from earbit.quantize.student import noise_clips, plan_for, quantized_copy
from earbit.runtime.session import Session
from earbit.superb.finished import SCORES_NAME
from earbit.superb.head_file import head_path, is_imported

MIN_BIT_AGREEMENT = 0.999
"""Minimum fraction of equal bits, because equal layers differ only by the order of float sums."""

MAX_SAMPLES = 10 * SAMPLE_RATE_HZ
"""Samples per clip of a corpus on which the agreement is measured."""


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
    return model if plan is None else _planned(where, model, plan, noise_clips(seed))


def _planned(where: str, model: AudioModel, plan: str, clips: list[np.ndarray]) -> AudioModel:
    """A copy of a float model under a plan, calibrated on clips (samples,).

    Raises ConfigError for a quantized model and for a plan that does not fit.
    """
    refuse_quantized(where, model, "leave out --plan")
    plan_for(where, model, plan)
    return quantized_copy(model, plan, clips).eval()


def _clips_of(corpus: str, seed: int) -> list[np.ndarray]:
    """Up to 16 clips of a corpus (samples,); raises DataError if none is usable."""
    opened = open_corpus(corpus)
    say_ignored(opened)
    return audio_of(opened, {cut.id for cut in opened.cuts}, seed)


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

    plan: quantizes a float model, calibrated on up to 16 clips of `corpus`, which also measure the
    agreement.  Without a corpus this is seeded noise, which suffices for costs and times only.
    head: a folder of `earbit superb` or `import`, whose head is packed with the model.
    settings: `path=value` for the configuration of a preset.
    Warns of random weights and of plans without training, whose features are poor.
    Checks that `out` can be written before the model is built.  Raises ConfigError for unknown
    names, for settings of a file, for a plan on a quantized model and for a corpus without a plan.
    """
    require_program_place(out)
    if corpus is not None and plan is None:
        raise ConfigError("--corpus without --plan; it calibrates a plan, so give --plan w8a8")
    if head is not None:
        _require_scored(head)
    given = model_of(where, plan=None, seed=seed, settings=settings)
    clips = noise_clips(seed) if corpus is None else _clips_of(corpus, seed)
    model = given if plan is None else _planned(where, given, plan, clips)
    packed = None
    if head is not None:
        packed = head_of(model, head, name=where, ancestors=_ancestors(where, given, model))
    if where in PRESETS:
        say(f"{where}: random weights of seed {seed}; good for size and time, not for features")
    elif plan is not None and any(not p.is_float for _, p in plan_named(plan).rules):
        calibrated = "noise" if corpus is None else f"{len(clips)} clips of {corpus}"
        say(
            f"{where}: calibrated on {calibrated} and not trained under {plan}, so its features "
            f"are {'poor' if corpus is None else 'poorer'}; earbit quantize {where} --plan {plan} "
            "trains it"
        )
    waveform = noise_clips(seed + 1, n_clips=1)[0] if corpus is None else clips[0][:MAX_SAMPLES]
    result = export_to(model, out, name=where, waveform=waveform, head=packed)
    if corpus is not None:
        result["float_cosine"] = float_cosine(given, Session(out), clips)
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


def _ancestors(where: str, given: AudioModel, model: AudioModel) -> list[str]:
    """Digests of the models that a model was quantized from, by a plan now or in training."""
    found = [] if given is model else [weights_digest(given)]
    if where not in PRESETS:
        origin = read_model_file(model_path(where)).origin
        found += [str(digest) for digest in origin.get("ancestors", [])]
    return found


def _require_scored(head: Path) -> None:
    """Raises ConfigError for a folder with a head that `earbit superb` has not scored yet."""
    is_there = head_path(head) != head and head_path(head).is_file()
    if is_there and not (head / SCORES_NAME).is_file() and not is_imported(head):
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
