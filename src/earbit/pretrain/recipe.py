"""Recipes: the corpus, units, model and training settings of a pre-training run as data."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from earbit.config import load, override
from earbit.errors import ConfigError, require_range
from earbit.model import ModelConfig
from earbit.model_names import require_recipe
from earbit.presets import preset
from earbit.pretrain.loop import TrainConfig
from earbit.pretrain.optimiser import OptimiserConfig, with_warmup


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeConfig:
    """Complete description of a pre-training run."""

    model: ModelConfig
    train: TrainConfig
    corpus: str = "synthetic"
    """`synthetic`, or a folder of audio."""
    resplit: bool = False
    """Whether to ignore the `split` of the corpus and draw a new one."""
    n_units: int = 100
    units: str | None = None
    """Folder of `earbit units` for this corpus; None computes `n_units` units in OUT/units."""
    seed: int = 0
    """Seed of the initial weights of the model and of k-means."""

    def __post_init__(self) -> None:
        require_range(2, 2**20, n_units=self.n_units)
        require_range(0, 2**32, seed=self.seed)


BASE_TRAINING = TrainConfig(
    optimiser=OptimiserConfig(peak_lr=5e-4, n_steps=250_000, warmup_steps=32_000),
    batch_s=87.5,
    checkpoint_every_steps=1000,
    log_every_steps=100,
)
"""First iteration of HuBERT Base, from the recipe of fairseq, for a GPU and 960 hours."""
TINY_TRAINING = TrainConfig(
    optimiser=OptimiserConfig(peak_lr=2e-3, n_steps=400, warmup_steps=80, max_gradient_norm=1.0),
    unmasked_weight=1.0,
    batch_s=24.0,
    crop_s=6.0,
)
"""Short training that takes minutes on two cores."""


def preset_recipe(name: str) -> RecipeConfig:
    """Recipe of a preset: `TINY_TRAINING` for tiny presets, `BASE_TRAINING` for all others."""
    training = TINY_TRAINING if name.endswith("-tiny") else BASE_TRAINING
    return RecipeConfig(model=preset(name), train=training)


def load_recipe(where: str | Path, settings: Sequence[str] = ()) -> RecipeConfig:
    """Loads a recipe from a preset name, a `.py` file with `recipe()`, or a JSON or YAML file.

    settings: overrides such as `train.optimiser.n_steps=500`, which keep the share of the warm-up
    in the steps.  Raises ConfigError.
    """
    require_recipe(str(where))
    path = Path(where)
    if path.suffix == ".py":
        recipe = _from_python(path)
    elif path.suffix:
        recipe = load(RecipeConfig, path)
    else:
        recipe = preset_recipe(str(where))
    return override(recipe, with_warmup(settings, recipe.train.optimiser)) if settings else recipe


def _from_python(path: Path) -> RecipeConfig:
    spec = importlib.util.spec_from_file_location("earbit_recipe", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        recipe = getattr(module, "recipe", None)
        config = recipe() if callable(recipe) else None
    except Exception as error:
        # The file is user code and can raise any exception.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{path}: the recipe raises an error ({reason}); fix it") from error
    if not isinstance(config, RecipeConfig):
        raise ConfigError(f"{path}: the file must define recipe() -> RecipeConfig")
    return config
