"""Conformer-S with the schedule of arXiv 2311.02772, both iterations, as an example of a recipe.

`earbit pretrain conformer-s --schedule paper --iterations 2` trains the same.  Copy this file and
change its settings.  Every preset can take this schedule.
"""

import dataclasses

from earbit.presets import preset
from earbit.pretrain.recipe import BASE_TRAINING, RecipeConfig
from earbit.pretrain.schedules import scheduled


def recipe(n_ranks: int) -> RecipeConfig:
    """32 GPUs x 36.5 s; 250,000 steps on 100 units, then 600,000 steps on 500 units.

    Fewer ranks of torchrun, or `--gpus` of a `--dry-run`, accumulate gradients to the same audio
    per update.
    """
    base = RecipeConfig(model=preset("conformer-s"), train=BASE_TRAINING, iterations=2)
    planned = scheduled(base, "paper", n_ranks=n_ranks)
    return dataclasses.replace(
        planned, train=dataclasses.replace(planned.train, precision="bf16", keep_checkpoints=3)
    )
