"""`earbit profile`: the cost of presets and models of ours, under plans."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.profile import Profile, leaf_names_of, profile_model
from earbit.cost.storage import RestBits
from earbit.cost.table import render, to_json
from earbit.errors import ConfigError
from earbit.model import ModelConfig
from earbit.model_file import read_model_file
from earbit.nn.precision import Precision
from earbit.presets import PRESETS
from earbit.quantize.load import model_path
from earbit.quantize.plan import plan_named

FLOAT_PLAN = "fp32"


def profile_models(
    models: Sequence[str],
    plans: Sequence[str] = (FLOAT_PLAN,),
    *,
    seconds: float = 10.0,
    rest_bits: RestBits = 32,
) -> tuple[str, list[dict[str, Any]]]:
    """The table and the JSON records of every model under every plan.

    models: presets, or files or folders of ours; none means every preset.  A model that is
    quantized already is profiled once, as it is.  seconds: length of the clip.
    Raises ConfigError for what is neither a preset nor a file, for an unknown plan, for a plan on
    a quantized model, and for an impossible length; FormatError for a damaged file.
    """
    if not math.isfinite(seconds):
        raise ConfigError(f"seconds={seconds}; give the length of a clip, 0.025 or more")
    n_samples = round(seconds * SAMPLE_RATE_HZ)
    profiles: list[Profile] = []
    for where in models or tuple(PRESETS):
        config, own_precisions, own_plan = _model_of(where)
        for plan, precisions in _plans_for(where, config, own_precisions, own_plan, plans):
            profiles.append(
                profile_model(
                    config,
                    precisions,
                    n_samples=n_samples,
                    name=where,
                    plan=plan,
                    rest_bits=rest_bits,
                )
            )
    return render(profiles), to_json(profiles)


def _model_of(where: str) -> tuple[ModelConfig, dict[str, Precision], str]:
    """Configuration, precisions of quantized leaves and plan of a preset or a model file."""
    if where in PRESETS:
        return PRESETS[where](), {}, FLOAT_PLAN
    path = model_path(where)
    if not path.exists():
        raise ConfigError(
            f"{where!r} is neither a preset nor a model file; presets: {', '.join(PRESETS)}"
        )
    file = read_model_file(path)
    return file.config, file.precisions, str(file.origin.get("plan", FLOAT_PLAN))


def _plans_for(
    where: str,
    config: ModelConfig,
    own_precisions: Mapping[str, Precision],
    own_plan: str,
    plans: Sequence[str],
) -> list[tuple[str, Mapping[str, Precision]]]:
    if own_precisions:
        if tuple(plans) not in {(FLOAT_PLAN,), (own_plan,)}:
            raise ConfigError(
                f"{where}: quantized by plan {own_plan!r} already, cannot be profiled under "
                f"{', '.join(plans)}; give the model that it was made from"
            )
        return [(own_plan, own_precisions)]
    leaf_names = leaf_names_of(config)
    return [(plan, plan_named(plan).precisions(leaf_names)) for plan in plans]
