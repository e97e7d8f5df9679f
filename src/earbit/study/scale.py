"""Scales of a study."""

from __future__ import annotations

from dataclasses import dataclass

from earbit.config import suggest
from earbit.errors import ConfigError
from earbit.presets import preset
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.recipe import RecipeConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.quantize.stages import QuantizeConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Steps and sizes of every stage of a study."""

    n_units: int
    pretrain_steps: int
    quantize_steps: int
    head_steps: int
    batch_s: float
    """Seconds of audio in a batch."""
    crop_s: float
    """Maximum length of utterances in seconds; longer ones are cropped."""
    seconds: float
    """Length of the audio for cost and time, in seconds."""

    def recipe(self, encoder: str, corpus: str, seed: int) -> RecipeConfig:
        """Recipe of the full-precision run of one encoder."""
        return RecipeConfig(
            model=preset(encoder),
            train=self._train(2e-3, self.pretrain_steps, seed),
            corpus=corpus,
            n_units=self.n_units,
            seed=seed,
        )

    def quantize(self, plan: str, seed: int) -> QuantizeConfig:
        """Configuration of the following quantization-aware run."""
        return QuantizeConfig(plans=(plan,), train=self._train(2e-3, self.quantize_steps, seed))

    def _train(self, peak_lr: float, n_steps: int, seed: int) -> TrainConfig:
        # HuBERT warms up over 8 % of its steps and clips at 10.  Few steps on small batches of
        # noisy speech reach a lower loss with these values.
        optimiser = OptimiserConfig(
            peak_lr=peak_lr,
            n_steps=n_steps,
            warmup_steps=max(1, round(0.2 * n_steps)),
            max_gradient_norm=1.0,
        )
        return TrainConfig(
            optimiser=optimiser,
            unmasked_weight=1.0,
            batch_s=self.batch_s,
            crop_s=self.crop_s,
            seed=seed,
            checkpoint_every_steps=50,
        )


SCALES = {
    "tiny": Scale(
        n_units=50,
        pretrain_steps=300,
        quantize_steps=200,
        head_steps=600,
        batch_s=12.0,
        crop_s=5.0,
        seconds=10.0,
    )
}


def scale_named(name: str) -> Scale:
    """The scale of a name; raises ConfigError for unknown names."""
    if name not in SCALES:
        raise ConfigError(f"unknown scale {name!r}{suggest(name, list(SCALES))}")
    return SCALES[name]
