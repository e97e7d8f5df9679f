"""A small HuBERT that trains in minutes on two cores, as an example of a recipe.

`earbit pretrain recipes/hubert_tiny.py --out DIR` trains the same model as
`earbit pretrain hubert-tiny --out DIR`.  Copy this file and change its settings.
"""

import dataclasses

from earbit.presets import preset
from earbit.pretrain.recipe import TINY_TRAINING, RecipeConfig


def recipe() -> RecipeConfig:
    """First iteration: 100 units from MFCC."""
    return RecipeConfig(
        model=preset("hubert-tiny"),
        n_units=100,
        train=dataclasses.replace(TINY_TRAINING, checkpoint_every_steps=100),
    )
