"""Published schedules of pre-training, for any number of GPUs by accumulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from earbit.config import override
from earbit.errors import ConfigError
from earbit.pretrain.optimiser import OptimiserConfig, with_warmup
from earbit.pretrain.recipe import RecipeConfig, load_recipe
from earbit.pretrain.train_config import TrainConfig


@dataclass(frozen=True, slots=True)
class Stage:
    """Units and updates of an iteration."""

    n_units: int
    n_steps: int
    warmup_steps: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as published."""

    n_gpus: int
    batch_s: float
    """Maximum seconds of audio per GPU and update."""
    peak_lr: float
    first: Stage
    second: Stage


SCHEDULES = {
    # arXiv 2311.02772, section 3: 32 GPUs, at most 36.5 s each, 250,000 and 600,000 steps.  It
    # states no rate and no warm-up; they are HuBERT's: 5e-4 and 8 % (arXiv 2106.07447, IV-C).
    "paper": Schedule(32, 36.5, 5e-4, Stage(100, 250_000, 20_000), Stage(500, 600_000, 48_000)),
    # HuBERT Base in fairseq: max_tokens=1,400,000 samples, warmup_updates=32,000 in both.
    "fairseq": Schedule(32, 87.5, 5e-4, Stage(100, 250_000, 32_000), Stage(500, 400_000, 32_000)),
}


def scheduled(recipe: RecipeConfig, name: str, *, n_ranks: int) -> RecipeConfig:
    """The recipe with a published schedule; fewer GPUs accumulate to the same audio per update.

    Raises ConfigError for an unknown schedule, and if the GPUs do not divide those of the schedule.
    """
    if name not in SCHEDULES:
        raise ConfigError(f"schedule {name!r}; allowed: {', '.join(SCHEDULES)}")
    schedule = SCHEDULES[name]
    if schedule.n_gpus % n_ranks:
        fits = [n for n in range(1, schedule.n_gpus + 1) if schedule.n_gpus % n == 0]
        raise ConfigError(
            f"schedule {name} of {schedule.n_gpus} GPUs on {n_ranks}; allowed: "
            f"{', '.join(map(str, fits))}, or set train.accumulation without a schedule"
        )
    first = schedule.first
    train = replace(
        recipe.train,
        optimiser=OptimiserConfig(
            peak_lr=schedule.peak_lr,
            n_steps=first.n_steps,
            warmup_steps=first.warmup_steps,
        ),
        unmasked_weight=0.0,
        batch_s=schedule.batch_s,
        crop_s=15.625,
        accumulation=schedule.n_gpus // n_ranks,
        checkpoint_every_steps=1000,
        log_every_steps=100,
        validate_every_steps=5000,
    )
    of_second = replace(
        recipe.second,
        n_units=schedule.second.n_units,
        n_steps=schedule.second.n_steps,
        warmup_steps=schedule.second.warmup_steps,
    )
    return replace(recipe, train=train, n_units=first.n_units, second=of_second)


def recipe_with(
    where: str, settings: Sequence[str], *, schedule: str | None, n_ranks: int
) -> RecipeConfig:
    """`load_recipe` with a published schedule, which the settings can change.

    Raises the errors of `load_recipe` and `scheduled`.
    """
    recipe = load_recipe(where, n_ranks=n_ranks)
    if schedule is not None:
        recipe = scheduled(recipe, schedule, n_ranks=n_ranks)
    if settings:
        recipe = override(recipe, with_warmup(settings, recipe.train.optimiser))
    return recipe


def audio_per_update_s(train: TrainConfig, n_ranks: int) -> float:
    """Maximum seconds of audio in an update."""
    return n_ranks * train.accumulation * train.batch_s


def arithmetic(train: TrainConfig, n_ranks: int) -> str:
    """Returns the audio per update as a product: `8 ranks x 4 micro-batches x 36.5 s = 1,168 s`.

    The number of micro-batches is that of one rank.
    """
    ranks = f"{n_ranks} rank{'s' * (n_ranks > 1)}"
    micro = f"{train.accumulation} micro-batch{'es' * (train.accumulation > 1)}"
    total_s = audio_per_update_s(train, n_ranks)
    return f"audio per update: {ranks} x {micro} x {train.batch_s:g} s = {total_s:,.6g} s"
