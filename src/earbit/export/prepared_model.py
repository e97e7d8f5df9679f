"""The model that `earbit export` writes: opened, quantized by a plan, with its head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earbit.audio.corpus import open_corpus, say_ignored, say_unusable
from earbit.errors import ConfigError
from earbit.export.head import ModelHead, head_of
from earbit.load import preset_or_model, refuse_quantized
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_file import origin_of
from earbit.model_names import model_path
from earbit.presets import PRESETS
from earbit.progress import say
from earbit.quantize.clips import audio_of
from earbit.quantize.plan import plan_named
from earbit.quantize.student import noise_clips, plan_for, quantized_copy
from earbit.superb.head_file import head_path, load_head
from earbit.superb.imported import IMPORTED
from earbit.superb.task import SCORES_NAME


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model to export."""

    model: AudioModel
    """In evaluation mode, quantized if a plan was given."""
    head: ModelHead | None
    given: AudioModel
    """The model before the plan."""
    clips: list[np.ndarray]
    """Clips (samples,) of the corpus on which the plan was calibrated; empty without one."""


def prepared_model(
    where: str,
    *,
    plan: str | None = None,
    seed: int = 0,
    head: Path | None = None,
    settings: Sequence[str] = (),
    corpus: str | None = None,
) -> PreparedModel:
    """Prepares a model for export.

    plan: quantizes a float model, calibrated on up to 16 clips of `corpus`, or else on seeded
    noise, which suffices for costs and times only.  head: a folder of `earbit superb` or `import`.
    settings: `path=value` for the configuration of a preset.
    Warns of random weights and of plans without training, whose features are poor.  Raises
    ConfigError for unknown names, for settings of a file, for a plan on a quantized model, for a
    head that does not fit and for a corpus without a plan.
    """
    if corpus is not None and plan is None:
        raise ConfigError("--corpus without --plan; it calibrates a plan, so give --plan w8a8")
    if head is not None:
        _require_scored(head)
    given = preset_or_model(where, seed, settings)
    clips = [] if corpus is None else _clips_of(corpus, seed)
    model = given if plan is None else _planned(where, given, plan, clips or noise_clips(seed))
    packed = None
    if head is not None:
        packed = head_of(model, head, name=where, ancestors=_ancestors(where, given, model))
    if where in PRESETS:
        say(f"{where}: random weights of seed {seed}; good for size and time, not for features")
    elif plan is not None and any(not p.is_float for _, p in plan_named(plan).rules):
        calibrated = "noise" if corpus is None else f"{len(clips)} clips of {corpus}"
        trains = f"earbit quantize {where} --plan {plan} --corpus DIR --out DIR trains it"
        poor = "poorer;" if corpus is not None else "poor; --corpus DIR calibrates it on audio, and"
        say(
            f"{where}: calibrated on {calibrated} and not trained under {plan}, so its features "
            f"are {poor} {trains}"
        )
    return PreparedModel(model, packed, given, clips)


def model_of(
    where: str, *, plan: str | None, seed: int, settings: Sequence[str] = ()
) -> AudioModel:
    """Builds a model by preset (random weights from the seed) or path, quantized by `plan`.

    The plan is calibrated on seeded noise.  Errors are those of `prepared_model`.
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
    say_unusable(opened)
    return audio_of(opened, {cut.id for cut in opened.cuts}, seed)


def _ancestors(where: str, given: AudioModel, model: AudioModel) -> list[str]:
    """Digests of the models that a model was quantized from, by a plan now or in training."""
    found = [] if given is model else [weights_digest(given)]
    if where not in PRESETS:
        origin = origin_of(model_path(where))
        found += [str(digest) for digest in origin.get("ancestors", [])]
    return found


def _require_scored(head: Path) -> None:
    """Raises ConfigError for a folder with a head that `earbit superb` has not scored yet."""
    is_there = head_path(head) != head and head_path(head).is_file()
    if (
        is_there
        and not (head / SCORES_NAME).is_file()
        and load_head(head).task.name not in IMPORTED
    ):
        raise ConfigError(
            f"{head}: no {SCORES_NAME}, so its run did not finish; give the same `earbit superb` "
            f"command again, or {head_path(head)} for the head as it is"
        )
