"""A HuBERT for two cores and a few minutes, as an example of a run that is written down.

`earbit pretrain recipes/hubert_tiny.py --out DIR` is `earbit pretrain hubert-tiny --out DIR`;
change whatever you like here.
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
