"""`earbit profile`: the cost of presets and models under plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.config import override
from earbit.cost.accounting import Accounting
from earbit.cost.devices import DEVICES, Device, devices_named
from earbit.cost.figure import draw
from earbit.cost.lengths import macs_by_length
from earbit.cost.paper import table_1
from earbit.cost.profile import MAX_SAMPLES, Profile, leaves_of_config, profile_plans
from earbit.cost.records import to_json
from earbit.cost.storage import RestBits
from earbit.cost.table import render
from earbit.cost.this_cpu import NAME as THIS_CPU
from earbit.cost.this_cpu import this_cpu
from earbit.errors import ConfigError
from earbit.files import write_text
from earbit.frames import MIN_SAMPLES
from earbit.load import refuse_settings
from earbit.model import ModelConfig
from earbit.model_file import read_model_file
from earbit.model_names import distinct_models, model_path, require_model
from earbit.nn.precision import Precision
from earbit.presets import PRESETS, preset
from earbit.quantize.plan import plan_named
from earbit.quantize.report import say_rules_without_effect

FLOAT_PLAN = "fp32"
UNKNOWN_PLAN = "unknown"
"""Of a quantized model whose file does not name its plan."""
MAX_DEPTH = 16


def profile_models(
    models: Sequence[str],
    plans: Sequence[str] = (),
    *,
    seconds: float = 10.0,
    rest_bits: RestBits | None = None,
    accounting: Accounting | None = None,
    devices: Sequence[str] = (),
    module_depth: int = 0,
    settings: Sequence[str] = (),
    figure: Path | None = None,
) -> tuple[str, list[dict[str, Any]]]:
    """Profiles every model under every plan; returns the table and the JSON records.

    models: presets, model files or folders; empty selects every preset.  A quantized model is
    profiled once at its own precisions.  plans: empty selects `fp32`.  seconds: length of the clip.
    rest_bits: None is 32, or 16 if the accounting supports only that.  accounting: None is
    `earbit`.  devices: of the catalogue, or `this-cpu`, which is measured; empty selects the
    catalogue.  settings: `path=value` for the configuration of every preset.  figure: path of the
    figure.  Raises ConfigError for an unknown model, plan, device or setting, for settings of a
    model file, for a plan on a quantized model, and for an invalid length or depth, and FormatError
    for a damaged file.
    """
    _check_figure(figure)
    n_samples = _n_samples(seconds)
    if not 0 <= module_depth <= MAX_DEPTH:
        raise ConfigError(f"modules={module_depth}; give a depth of 0 (none) to {MAX_DEPTH}")
    accounting = accounting or "earbit"
    names = dict.fromkeys(devices or DEVICES)
    named = [device for name in names for device in _device(name)]
    profiles: list[Profile] = []
    configs: dict[str, ModelConfig] = {}
    for where in distinct_models(models or tuple(PRESETS)):
        config, own_precisions, own_plan = _model_of(where, settings)
        configs[where] = config
        profiles += profile_plans(
            config,
            _plans_for(where, config, own_precisions, own_plan, plans),
            n_samples=n_samples,
            name=where,
            rest_bits=rest_bits,
            accounting=accounting,
            devices=named,
        )
    text, records = render(profiles, module_depth), to_json(profiles, module_depth)
    if figure is not None:
        write_text(figure, draw(records, macs_by_length(configs)) + "\n")
    return text, records


def configs_of(models: Sequence[str], settings: Sequence[str] = ()) -> dict[str, ModelConfig]:
    """Configurations of the models that `profile_models` profiles, by name; raises as it does."""
    named = distinct_models(models or tuple(PRESETS))
    return {where: _model_of(where, settings)[0] for where in named}


def profile_as_the_paper(
    *, seconds: float = 10.0, others: Mapping[str, object] = MappingProxyType({})
) -> tuple[str, list[dict[str, Any]]]:
    """Table 1 of the paper for all presets and plans, as text and JSON records.

    seconds: length of the clip.  others: values of the other options by name.  Raises ConfigError
    if one of them is not empty, because they do not apply here, and for an invalid length.
    """
    refused = [f"{option} {_as_typed(value)}" for option, value in others.items() if value]
    if refused:
        raise ConfigError(
            "--all chooses the models itself, and every option but --seconds and --json; leave out "
            f"{', '.join(refused)}"
        )
    text, profiles = table_1(_n_samples(seconds))
    return text, to_json(profiles)


def _as_typed(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _n_samples(seconds: float) -> int:
    # Compared before it is rounded, because infinity and NaN cannot be rounded.
    if not MIN_SAMPLES <= seconds * SAMPLE_RATE_HZ <= MAX_SAMPLES:
        raise ConfigError(
            f"seconds={seconds}; give the length of a clip, {MIN_SAMPLES / SAMPLE_RATE_HZ:g} "
            f"(one frame) to {MAX_SAMPLES / SAMPLE_RATE_HZ:g} (a day)"
        )
    return round(seconds * SAMPLE_RATE_HZ)


def _device(name: str) -> list[Device]:
    return [this_cpu()] if name == THIS_CPU else devices_named([name], THIS_CPU)


def _check_figure(figure: Path | None) -> None:
    if figure is not None and figure.suffix != ".svg":
        raise ConfigError(f"--figure {figure}: the picture is SVG; give a name that ends in .svg")


def _model_of(where: str, settings: Sequence[str]) -> tuple[ModelConfig, dict[str, Precision], str]:
    """Configuration, precisions of quantized leaves and plan of a preset or a model file."""
    if where in PRESETS:
        return override(preset(where), settings), {}, FLOAT_PLAN
    require_model(where)
    refuse_settings(settings, where)
    file = read_model_file(model_path(where))
    # A model that was fine-tuned after its quantization has null.
    plan = file.origin.get("plan") or (UNKNOWN_PLAN if file.precisions else FLOAT_PLAN)
    return file.config, file.precisions, str(plan)


def _plans_for(
    where: str,
    config: ModelConfig,
    own_precisions: Mapping[str, Precision],
    own_plan: str,
    plans: Sequence[str],
) -> list[tuple[str, Mapping[str, Precision]]]:
    if own_precisions:
        if tuple(plans) not in {(), (own_plan,)}:
            raise ConfigError(
                f"{where}: quantized by plan {own_plan!r} already, cannot be profiled under "
                f"{', '.join(plans)}; give the model that it was made from"
            )
        return [(own_plan, own_precisions)]
    leaves = leaves_of_config(config)
    chosen = {plan: plan_named(plan) for plan in plans or (FLOAT_PLAN,)}
    for plan in chosen.values():
        say_rules_without_effect(plan, leaves, where)
    return [(name, plan.precisions(leaves)) for name, plan in chosen.items()]
