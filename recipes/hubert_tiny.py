"""A HuBERT for two cores and a few minutes: `earbit pretrain recipes/hubert_tiny.py --out DIR`."""

from earbit.presets import hubert_tiny
from earbit.pretrain.loop import TrainConfig
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig


def recipe() -> RecipeConfig:
    """First iteration: 100 units from MFCC."""
    return RecipeConfig(
        model=hubert_tiny(),
        n_units=100,
        train=TrainConfig(
            optimiser=OptimiserConfig(
                peak_lr=2e-3, n_steps=400, warmup_steps=80, max_gradient_norm=1.0
            ),
            unmasked_weight=1.0,
            batch_s=24.0,
            crop_s=6.0,
        ),
    )
