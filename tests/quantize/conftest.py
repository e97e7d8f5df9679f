"""What tests of `earbit quantize` start from."""

import pytest
from quantize_runs import MODEL

from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.pretrain.verb import pretrain


@pytest.fixture(scope="session")
def teacher(melodies, tmp_path_factory):
    """The folder of a pre-training, which no test changes."""
    folder = tmp_path_factory.mktemp("teacher")
    optimiser = OptimiserConfig(peak_lr=4e-3, n_steps=120, warmup_steps=12)
    train = TrainConfig(optimiser=optimiser, batch_s=8.0, crop_s=2.0, unmasked_weight=1.0)
    pretrain(RecipeConfig(model=MODEL, train=train, corpus=str(melodies), n_units=4), folder)
    return folder
