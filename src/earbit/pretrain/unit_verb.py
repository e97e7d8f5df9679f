"""`earbit units` for MFCC, hidden features of a model, and features of another program."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earbit.audio.training_corpus import Opened
from earbit.errors import ConfigError
from earbit.load import preset_or_model
from earbit.nn.devices import TrainPrecision
from earbit.pretrain.hidden import source_of_model
from earbit.units.discover import UnitConfig
from earbit.units.labelled import open_training_corpus
from earbit.units.sources import FeatureSource, folder_source, mfcc_source
from earbit.units.verb import units

N_MFCC_UNITS = 100
N_OTHER_UNITS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Clustered:
    """What is clustered: MFCC, hidden features of `model`, or `features` of another program."""

    model: str | None = None
    features: Path | None = None
    layer: str | None = None
    """Number, `default` or `auto` of a model; index in the files of `features`."""
    rate_hz: float = 50.0
    """Frames per second of `features`."""
    device: str = "auto"
    precision: TrainPrecision = "fp32"
    """Of the products of a model."""


def units_of(
    where: str,
    out_dir: Path,
    clustered: Clustered,
    *,
    n_units: int | None,
    seed: int,
    fraction: float | None = None,
    memory_gb: float = 1.0,
    workers: int = -1,
    resplit: bool = False,
) -> dict[str, Any]:
    """Writes units of a corpus as `earbit.units.verb.units`; n_units: None for the default."""
    is_mfcc = clustered.model is None and clustered.features is None
    default = N_MFCC_UNITS if is_mfcc else N_OTHER_UNITS
    config = UnitConfig(
        n_units=default if n_units is None else n_units,
        seed=seed,
        fraction=fraction,
        memory_gb=memory_gb,
        workers=workers,
    )
    opened = functools.cache(lambda: open_training_corpus(where, resplit=resplit))
    source = _source(where, opened, clustered, config)
    return units(where, out_dir, config, source, opened=opened)


def _source(where: str, opened: Opened, clustered: Clustered, config: UnitConfig) -> FeatureSource:
    layer = clustered.layer
    if clustered.features is not None:
        if layer is not None and not layer.isdecimal():
            raise ConfigError(f"--layer {layer}; allowed: an index in the files, counted from 0")
        number = None if layer is None else int(layer)
        return folder_source(clustered.features, rate_hz=clustered.rate_hz, layer=number)
    if clustered.model is None:
        return mfcc_source()
    model = preset_or_model(clustered.model, config.seed)
    return source_of_model(
        model,
        layer or "default",
        where,
        opened,
        config,
        device=clustered.device,
        precision=clustered.precision,
    )
