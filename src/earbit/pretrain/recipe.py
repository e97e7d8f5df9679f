"""A run as data: which corpus, which units, which model, how it is trained."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from earbit.config import load, override
from earbit.errors import ConfigError, require_range
from earbit.model import ModelConfig
from earbit.pretrain.loop import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeConfig:
    """One pre-training run, complete."""

    model: ModelConfig
    train: TrainConfig
    corpus: str = "synthetic"
    """'synthetic', or a folder of audio."""
    n_units: int = 100
    units: str | None = None
    """Folder of `earbit units`, made from this corpus; None finds `n_units` units in OUT/units."""
    seed: int = 0
    """Seed of the model's first weights and of k-means."""

    def __post_init__(self) -> None:
        require_range(2, 2**20, n_units=self.n_units)
        require_range(0, 2**32, seed=self.seed)


def load_recipe(path: Path, settings: Sequence[str] = ()) -> RecipeConfig:
    """A recipe from a `.py` file that defines `recipe()`, or from a saved JSON or YAML config.

    settings: overrides such as `train.optimiser.n_steps=500`.  Raises ConfigError.
    """
    recipe = _from_python(path) if path.suffix == ".py" else load(RecipeConfig, path)
    return override(recipe, settings) if settings else recipe


def _from_python(path: Path) -> RecipeConfig:
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such recipe; see recipes/ for the ones that come with earbit"
        )
    spec = importlib.util.spec_from_file_location("earbit_recipe", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        recipe = getattr(module, "recipe", None)
        config = recipe() if callable(recipe) else None
    except Exception as error:
        # It is the user's code: whatever it raises is the user's to mend.
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path}: the recipe does not run ({reason}); mend it") from error
    if not isinstance(config, RecipeConfig):
        raise ConfigError(f"{path}: it must define recipe() -> RecipeConfig")
    return config
