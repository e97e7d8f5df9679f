"""`earbit binarize`: convert by a plan, calibrate, train with quantization in the loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earbit.config import to_dict
from earbit.errors import ConfigError
from earbit.files import make_folder, write_json
from earbit.model import AudioModel
from earbit.model_file import MODEL_FILE_NAME, save_model
from earbit.nn.front_end import MIN_SAMPLES
from earbit.pretrain.corpus import decoded_corpus, training_data
from earbit.pretrain.loop import TrainConfig, TrainingData, train
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.quantize.convert import precisions_of
from earbit.quantize.load import load_model, quantized_copy
from earbit.quantize.plan import plan_named
from earbit.quantize.train import distil_from

N_CALIBRATION_CLIPS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class BinarizeConfig:
    """One run of quantization-aware training."""

    plan: str
    train: TrainConfig
    distil_weight: float = 1.0
    """Weight of the hidden-state distance to the float model; 0 trains on units alone."""


def default_config(plan: str, n_steps: int, seed: int) -> BinarizeConfig:
    """A run of `n_steps` with a tenth of warm-up."""
    optimiser = OptimiserConfig(peak_lr=1e-3, n_steps=n_steps, warmup_steps=n_steps // 10)
    return BinarizeConfig(plan=plan, train=TrainConfig(optimiser=optimiser, seed=seed))


def binarize(
    model_path: str, plan: str, corpus: str, out_dir: Path, *, n_steps: int, seed: int
) -> dict[str, Any]:
    """Quantizes a trained model of ours on a corpus; units are those of its own pre-training.

    Raises ConfigError for a model without a unit head or an unknown plan.
    """
    config = default_config(plan, n_steps, seed)
    plan_named(plan)
    teacher = load_model(model_path)
    if teacher.config.n_units is None:
        raise ConfigError(f"{model_path}: no unit head; give a model that was pre-trained")
    make_folder(out_dir)
    opened, waveforms = decoded_corpus(corpus, out_dir)
    beside = Path(model_path) / "units"
    units_dir = beside if beside.is_dir() else out_dir / "units"
    data = training_data(opened, waveforms, units_dir, n_units=teacher.config.n_units, seed=seed)
    return binarize_on(teacher, config, data, out_dir)


def binarize_on(
    teacher: AudioModel, config: BinarizeConfig, data: TrainingData, out_dir: Path
) -> dict[str, Any]:
    """`binarize` on data that is in memory already."""
    make_folder(out_dir)
    model = quantized_copy(teacher, config.plan, _calibration_clips(data))
    objective = distil_from(teacher, config.distil_weight, config.train.unmasked_weight)
    title = f"{config.plan} training"
    figures = train(model, data, config.train, out_dir, objective=objective, title=title)
    origin = {
        "stage": "binarize",
        "plan": config.plan,
        "config": to_dict(config),
        "labels": data.labels.digest,
        "corpus": data.labels.corpus_digest,
        **figures,
    }
    save_model(model, out_dir / MODEL_FILE_NAME, origin)
    precisions = {name: str(precision) for name, precision in precisions_of(model).items()}
    result = {"model": str(out_dir / MODEL_FILE_NAME), "precisions": precisions, **figures}
    write_json(out_dir / "result.json", result)
    return result


def _calibration_clips(data: TrainingData) -> list[np.ndarray]:
    clips = (data.waveforms[cut.id] for cut in data.train)
    return [c for c in clips if c.size >= MIN_SAMPLES][:N_CALIBRATION_CLIPS]
