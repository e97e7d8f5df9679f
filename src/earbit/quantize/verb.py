"""`earbit quantize`: checks and opens a model, its units and a corpus for the stages."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from earbit.audio.corpus import write_quarantine
from earbit.audio.training_corpus import TrainingCorpus
from earbit.config import from_dict, override
from earbit.errors import ConfigError
from earbit.folder_lock import only_process_in
from earbit.load import preset_or_model, refuse_quantized
from earbit.model import AudioModel
from earbit.model_file import origin_of
from earbit.model_names import model_path
from earbit.nn.devices import device_named
from earbit.nn.filterbank import FilterbankConfig
from earbit.nn.leaves import leaves_of
from earbit.nn.precision import W1A1
from earbit.presets import PRESETS
from earbit.pretrain.optimiser import OptimiserConfig, with_warmup
from earbit.pretrain.recipe import TINY_TRAINING, RecipeConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.progress import say
from earbit.quantize.plan import Plan
from earbit.quantize.relabel import units_for
from earbit.quantize.report import say_rules_without_effect, say_without_program
from earbit.quantize.stages import QuantizeConfig, quantize_on, stages_of
from earbit.quantize.train import STATES_ALONE, LossWeights
from earbit.run_folder import check_is_ours
from earbit.units.discover import LABELS
from earbit.units.labelled import (
    TrainingData,
    labelled,
    open_training_corpus,
    unlabelled,
)
from earbit.units.labels import UnitLabels
from earbit.units.quarantine import lost_ids

SMALL_PARAMETERS = 3e6
"""Models with fewer are trained like the tiny presets; the others have 8 million and more."""
STEPS_SETTING = "train.optimiser.n_steps="


def default_config(
    plans: tuple[str, ...],
    n_steps: tuple[int, ...],
    seed: int,
    origin: Mapping[str, Any] | None = None,
    *,
    has_units: bool = True,
    n_parameters: float = math.inf,
) -> QuantizeConfig:
    """Stages with a tenth of warm-up; batches and masks as in the pre-training.

    A model without a recipe, such as an imported one, gets those of the presets of its size.
    n_steps: steps of all stages, or of each.  origin: origin of the model file, if any.  has_units:
    whether losses of units and logits have a positive weight.
    """
    if not n_steps:
        raise ConfigError("--n-steps without a number; give one for all stages, or one for each")
    first = n_steps[0]
    optimiser = OptimiserConfig(peak_lr=1e-3, n_steps=first, warmup_steps=first // 10)
    train = TINY_TRAINING if n_parameters < SMALL_PARAMETERS else TrainConfig(optimiser=optimiser)
    if origin is not None and "recipe" in origin:
        recipe: RecipeConfig = from_dict(RecipeConfig, origin["recipe"], "recipe of the model")
        train = recipe.train
    train = dataclasses.replace(train, optimiser=optimiser, seed=seed)
    return QuantizeConfig(
        plans=plans,
        train=train,
        stage_steps=n_steps if len(n_steps) > 1 else (),
        weights=LossWeights() if has_units else STATES_ALONE,
    )


def quantize(
    where: str,
    plans: tuple[str, ...],
    corpus: str,
    out_dir: Path,
    *,
    n_steps: tuple[int, ...],
    seed: int,
    settings: Sequence[str] = (),
    resplit: bool = False,
) -> dict[str, Any]:
    """Quantizes a model on a corpus, with the units of its own pre-training if they are there.

    A model without a unit head, or without its units beside it, learns from the hidden states of
    its teacher alone unless settings give other weights.  A preset is such a model, with random
    weights from the seed.  n_steps: one number for all stages, or one for each.  settings:
    `a.b=value` changes of the `QuantizeConfig`.  resplit: ignores the `split` of the corpus and
    draws a new one.  Before any audio is read it raises ConfigError for a model that is quantized
    already, in the cases of `stages_of`, and for a folder with other files, and UnsupportedError
    for a device that is not there.
    """
    if len(n_steps) > 1 and any(setting.startswith(STEPS_SETTING) for setting in settings):
        steps = " ".join(map(str, n_steps))
        raise ConfigError(f"--n-steps {steps} and --set {STEPS_SETTING}...; give one of them")
    teacher = preset_or_model(where, seed)
    origin, units = None, None
    if where not in PRESETS:
        cure = "give the full-precision model that it was made from"
        refuse_quantized(where, teacher, cure)
        origin = origin_of(model_path(where))
        units = _units_beside(model_path(where), origin) if teacher.head is not None else None
    has_units = units is not None
    size = sum(parameter.numel() for parameter in teacher.parameters())
    config = default_config(plans, n_steps, seed, origin, has_units=has_units, n_parameters=size)
    config = override(config, with_warmup(settings, config.train.optimiser))
    config = dataclasses.replace(config, resplit=config.resplit or resplit)
    check_is_ours(out_dir, "quantize")
    device = config.train.machine.device
    device_named(device)
    stages = stages_of(config, teacher, out_dir, has_units=has_units)
    opened = open_training_corpus(corpus, resplit=config.resplit)
    if not has_units:
        lacks = f"{where} has no unit head" if teacher.head is None else f"no units beside {where}"
        if teacher.head is not None and where not in PRESETS:
            lacks = _misfit(model_path(where), teacher.config.n_units) or lacks
        if where in PRESETS:
            lacks = f"{where} is a preset with random weights and without a unit head"
        taught = "the teacher" if config.weights.logits else "the teacher's hidden states alone"
        say(f"{lacks}: learns from {taught}")
    for stage in stages:
        say_rules_without_effect(stage.plan, leaves_of(teacher), where)
    say_without_program(stages[-1].plan, leaves_of(teacher))
    for stage in stages:
        if _has_binary_front_end_without_shortcut(teacher, stage.plan):
            say(
                f"{stage.plan.name}: 1-bit convolutions learn little in a front end without batch "
                "norm and shortcuts; pre-train with --set model.front_end.norm=batch "
                "model.front_end.shortcut=true, or take the plan w1a1-frontend4 (an imported model)"
            )
            break
    with only_process_in(out_dir):
        data = _data_for(opened, out_dir, units, device)
        return quantize_on(teacher, config, data, out_dir)


def _has_binary_front_end_without_shortcut(model: AudioModel, plan: Plan) -> bool:
    """Whether 1-bit convolutions have no full-precision shortcut; see docs/quantization.md."""
    front_end = model.config.front_end
    if isinstance(front_end, FilterbankConfig):
        return False
    leaves = leaves_of(model)
    precisions = plan.precisions(leaves)
    is_binary = any(leaf.role == "front_end" and precisions[leaf.name] == W1A1 for leaf in leaves)
    return is_binary and not (front_end.norm == "batch" and front_end.shortcut)


def _units_beside(path: Path, origin: Mapping[str, Any]) -> Path | None:
    """The folder of the units that a model was pre-trained on; None if it does not exist."""
    for folder, labels in _all_units_beside(path):
        if labels.header.kmeans_digest == origin.get("kmeans"):
            return folder
    return None


def _misfit(path: Path, n_units: int | None) -> str | None:
    """Reason that the nearest units beside a model do not fit it; None without units."""
    for folder, labels in _all_units_beside(path):
        if labels.n_units != n_units:
            return f"units in {folder} have {labels.n_units} units, the model has {n_units}"
        return (
            f"units in {folder} are not those of the model's pre-training (k-means of another "
            "corpus or seed)"
        )
    return None


def _all_units_beside(path: Path) -> Iterator[tuple[Path, UnitLabels]]:
    # `pretrain` writes its units beside the model, or in the folder of its second iteration, and
    # `study` once for all its models.
    parents = path.absolute().parents[:3]
    for folder in (parent / name for parent in parents for name in ("units", "2/units")):
        if (folder / LABELS).is_file():
            yield folder, UnitLabels.load(folder / LABELS)


def _data_for(
    corpus: TrainingCorpus, out_dir: Path, units: Path | None, device: str
) -> TrainingData:
    """The corpus, with labels of the k-means model in `units` if that is given."""
    write_quarantine(corpus, out_dir)
    if units is None:
        return unlabelled(corpus)
    folder = units_for(corpus, units, out_dir / "units", device=device)
    return labelled(corpus, UnitLabels.load(folder / LABELS), lost_ids(folder))
