"""HuBERT Base, first iteration, with the numbers of the HuBERT paper and of fairseq's recipe.

It needs a corpus of hundreds of hours and far more than one CPU.  The paper that earbit implements
(arXiv 2311.02772) trains 250,000 steps of at most 36.5 s of audio on each of 32 GPUs.
"""

from earbit.presets import preset
from earbit.pretrain.recipe import BASE_TRAINING, RecipeConfig


def recipe() -> RecipeConfig:
    """100 units from MFCC; 32,000 of 250,000 updates warm up to 5e-4."""
    return RecipeConfig(model=preset("hubert-base"), n_units=100, train=BASE_TRAINING)
