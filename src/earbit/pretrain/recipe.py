"""Recipes: the corpus, units, model and training settings of a pre-training run as data."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Literal

from earbit.config import load, override
from earbit.errors import ConfigError, require_range
from earbit.model import ModelConfig
from earbit.model_names import require_recipe
from earbit.presets import preset
from earbit.pretrain.optimiser import OptimiserConfig, with_warmup
from earbit.pretrain.train_config import TrainConfig
from earbit.units.discover import UnitConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondConfig:
    """The second iteration: a new model, trained on units of hidden features of the first."""

    n_units: int = 500
    layer: int | Literal["default", "auto"] = "default"
    """Layer of the first model, counted from 1; default is 6 of 12, otherwise half of the layers;
    auto has the best phone purity, for a corpus with phone_alignment."""
    n_steps: int | None = None
    """Number of updates; None for as many as the first iteration."""
    warmup_steps: int | None = None
    """Updates of warm-up; None for the share of the first iteration, or its number with
    decay_steps."""

    def __post_init__(self) -> None:
        require_range(2, 2**20, n_units=self.n_units)
        if self.n_steps is not None:
            require_range(1, 2**62, n_steps=self.n_steps)


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
    fraction: float | None = None
    """Fraction of the training clips for k-means; None as in `earbit.units.discover.UnitConfig`."""
    memory_gb: float = 1.0
    """Maximum memory for the frames of k-means."""
    iterations: int = 1
    """1, or 2: then OUT/1 and OUT/2 hold the iterations, and OUT/model.safetensors is the second
    model."""
    second: SecondConfig = SecondConfig()
    """The second iteration, if there is one."""

    def __post_init__(self) -> None:
        require_range(2, 2**20, n_units=self.n_units)
        require_range(0, 2**32, seed=self.seed)
        require_range(1, 3, iterations=self.iterations)
        layer, n_layers = self.second.layer, self.model.encoder.n_layers
        if self.iterations == 2 and isinstance(layer, int) and not 1 <= layer <= n_layers:
            raise ConfigError(f"second.layer={layer}; allowed: 1 to {n_layers}, default, auto")
        self.unit_config  # noqa: B018  raises errors for its values

    @property
    def unit_config(self) -> UnitConfig:
        """How the units are fitted."""
        return UnitConfig(
            n_units=self.n_units,
            seed=self.seed,
            fraction=self.fraction,
            memory_gb=self.memory_gb,
            workers=self.train.machine.workers,
        )

    def stage(self, iteration: int) -> RecipeConfig:
        """The recipe of one iteration, as a recipe of one iteration."""
        one = replace(self, iterations=1)
        if iteration == 1:
            return one
        second, optimiser = self.second, self.train.optimiser
        n_steps = optimiser.n_steps if second.n_steps is None else second.n_steps
        settings = [f"train.optimiser.n_steps={n_steps}"]
        n_warmup = second.warmup_steps
        if n_warmup is None and optimiser.decay_steps is not None:
            # A rate without decay over all steps can be continued only with the same warm-up.
            n_warmup = min(optimiser.warmup_steps, n_steps)
        if n_warmup is not None:
            settings.append(f"train.optimiser.warmup_steps={n_warmup}")
        one = override(one, with_warmup(settings, optimiser))
        return replace(one, n_units=second.n_units, units=None)


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


BASE_SECOND = SecondConfig(n_units=500, n_steps=400_000, warmup_steps=32_000)
"""Second iteration of HuBERT Base, from the recipe of fairseq."""
TINY_SECOND = SecondConfig(n_units=100)
"""Small corpora have too little variety for 500 units."""


def preset_recipe(name: str) -> RecipeConfig:
    """Recipe of a preset: `TINY_TRAINING` for tiny presets, `BASE_TRAINING` for all others."""
    if name.endswith("-tiny"):
        return RecipeConfig(model=preset(name), train=TINY_TRAINING, second=TINY_SECOND)
    return RecipeConfig(model=preset(name), train=BASE_TRAINING, second=BASE_SECOND)


def load_recipe(
    where: str | Path, settings: Sequence[str] = (), *, n_ranks: int = 1
) -> RecipeConfig:
    """Loads a recipe from a preset name, a `.py` file with `recipe()`, or a JSON or YAML file.

    settings: overrides such as `train.optimiser.n_steps=500`, which keep the share of the warm-up
    in the steps.  n_ranks: argument of a `recipe(n_ranks)`.  Raises ConfigError.
    """
    require_recipe(str(where))
    path = Path(where)
    if path.suffix == ".py":
        recipe = _from_python(path, n_ranks)
    elif path.suffix:
        recipe = load(RecipeConfig, path)
    else:
        recipe = preset_recipe(str(where))
    return override(recipe, with_warmup(settings, recipe.train.optimiser)) if settings else recipe


def _from_python(path: Path, n_ranks: int) -> RecipeConfig:
    spec = importlib.util.spec_from_file_location("earbit_recipe", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        recipe = getattr(module, "recipe", None)
        takes_ranks = callable(recipe) and "n_ranks" in signature(recipe).parameters
        given = {"n_ranks": n_ranks} if takes_ranks else {}
        config = recipe(**given) if callable(recipe) else None
    except Exception as error:
        # The file is user code and can raise any exception.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{path}: the recipe raises an error ({reason}); fix it") from error
    if not isinstance(config, RecipeConfig):
        raise ConfigError(f"{path}: the file must define recipe() -> RecipeConfig")
    return config
