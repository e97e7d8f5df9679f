"""Scales of a study: the encoders, steps and sizes of every stage, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from earbit.config import override, suggest
from earbit.errors import ConfigError
from earbit.model import ModelConfig
from earbit.presets import preset
from earbit.pretrain.optimiser import OptimiserConfig, with_warmup
from earbit.pretrain.recipe import RecipeConfig, SecondConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.quantize.stages import QuantizeConfig

QUANTIZE = "quantize."
"""Prefix of settings of the quantization; others are fields of the recipe."""
FIRST_STAGES: dict[str, str] = {"w1a1": "w1a2"}
"""Plans that are reached from another one: the default stages of `earbit quantize`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Steps and sizes of every stage of a study."""

    encoders: tuple[str, ...]
    shapes: Mapping[str, ModelConfig] = field(default_factory=dict)
    """Encoders that are no presets, by name."""
    plans: tuple[str, ...] = ("fp32", "w1a1")
    front_end: tuple[str, ...] = ()
    """Settings of the front end of presets; files have their own."""
    settings: tuple[str, ...] = ()
    """Fields of the recipe of every encoder, as `--set` changes them."""
    iterations: int = 1
    n_units: int
    second_units: int = 500
    pretrain_steps: int
    second_steps: int | None = None
    quantize_steps: tuple[int, ...]
    """Steps of each stage of a quantization, or of all."""
    peak_lr: float
    quantize_peak_lr: float
    warmup_share: float
    max_gradient_norm: float = 10.0
    unmasked_weight: float = 0.0
    batch_s: float
    """Seconds of audio in a batch."""
    crop_s: float
    """Maximum length of utterances in seconds; longer ones are cropped."""
    checkpoint_every_steps: int = 1000
    log_every_steps: int = 10
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Changes of the protocol of tasks, by name; others have the protocol of their corpus."""
    protocol: Literal["proxy", "superb"] | None = None
    """Protocol of all tasks; None as `earbit superb`, by the length of their corpus."""
    head_steps: int | None = None
    """Updates of every head; None as `heads` and the protocols say."""
    seconds: float = 10.0
    """Length of the audio for cost and time, in seconds."""
    n_runs: int | None = None
    """Timed runs of every engine; None as `earbit bench`."""
    engines: tuple[str, ...] = ("all",)
    """Other engines to measure beside full precision, where they are installed."""
    propagation_clips: int = 8
    propagation_s: float = 4.0
    ranks: int = 1
    """Processes of `torchrun` that the pre-trainings are meant for."""

    def recipe(self, encoder: str, corpus: str, seed: int) -> RecipeConfig:
        """Recipe of the pre-training of one encoder."""
        recipe = RecipeConfig(
            model=self.shapes[encoder] if encoder in self.shapes else preset(encoder),
            train=self._train(self.peak_lr, self.pretrain_steps, seed),
            corpus=corpus,
            n_units=self.n_units,
            seed=seed,
            iterations=self.iterations,
            second=SecondConfig(n_units=self.second_units, n_steps=self.second_steps),
        )
        of_all = [one for one in self.settings if not one.startswith(QUANTIZE)]
        settings = [*(() if encoder in self.shapes else self.front_end), *of_all]
        return override(recipe, with_warmup(settings, recipe.train.optimiser))

    def quantize(
        self, plan: str, seed: int, *, stage: int = 0, train: TrainConfig | None = None
    ) -> QuantizeConfig:
        """Configuration of one stage of quantization-aware training.

        train: training of the full-precision model, whose batches and masks it keeps.
        """
        n_steps = self.quantize_steps[min(stage, len(self.quantize_steps) - 1)]
        own = self._train(self.quantize_peak_lr, n_steps, seed)
        chosen = own if train is None else dataclasses.replace(train, optimiser=own.optimiser)
        config = QuantizeConfig(plans=(plan,), train=chosen)
        settings = [s.removeprefix(QUANTIZE) for s in self.settings if s.startswith(QUANTIZE)]
        return override(config, with_warmup(settings, chosen.optimiser))

    def _train(self, peak_lr: float, n_steps: int, seed: int) -> TrainConfig:
        optimiser = OptimiserConfig(
            peak_lr=peak_lr,
            n_steps=n_steps,
            warmup_steps=max(1, round(self.warmup_share * n_steps)),
            max_gradient_norm=self.max_gradient_norm,
        )
        return TrainConfig(
            optimiser=optimiser,
            unmasked_weight=self.unmasked_weight,
            batch_s=self.batch_s,
            crop_s=self.crop_s,
            seed=seed,
            checkpoint_every_steps=self.checkpoint_every_steps,
            log_every_steps=self.log_every_steps,
            # The last step is always validated.
            validate_every_steps=max(1000, n_steps // 20),
        )


RECOMMENDED = ("model.front_end.norm=batch", "model.front_end.shortcut=true")
"""A front end that learns in one bit (docs/quantization.md)."""
FILTERBANK = ('model.front_end={"type": "filterbank"}',)
"""Log mel energies instead of convolutions, which are most of the cost of a tiny model."""
FEW_UPDATES = {"lrs": (1e-2,), "n_steps": 150, "n_checks": 3}
"""Of a linear head, whose best rate on the synthetic corpus this is."""
FEW_RECURRENT = {"lrs": (1e-2,), "n_steps": 240, "n_checks": 1, "batch_size": 8}
"""Of a head with LSTMs; with 3e-3 the error rate of words stays at 100 %."""
TINY = ("hubert-tiny", "conformer-tiny", "squeezeformer-tiny")
TINY_SPARSE = ("sparseformer-dn-tiny", "sparseformer-sw-tiny")
PAPER = ("hubert-base", "conformer-s", "squeezeformer-xs", "sparseformer-dn-s", "sparseformer-sw-s")

SCALES = {
    # Minutes on two cores.
    "tiny": Scale(
        encoders=(*TINY, *TINY_SPARSE),
        front_end=FILTERBANK,
        n_units=50,
        pretrain_steps=250,
        quantize_steps=(100, 100),
        # HuBERT warms up over 8 % of its steps and clips at 10.  Few steps on small batches of
        # noisy speech reach a lower loss with these values.
        peak_lr=2e-3,
        quantize_peak_lr=2e-3,
        warmup_share=0.2,
        max_gradient_norm=1.0,
        unmasked_weight=1.0,
        batch_s=10.0,
        crop_s=5.0,
        checkpoint_every_steps=50,
        heads={
            **dict.fromkeys(("ks", "sid", "ic", "er"), FEW_UPDATES),
            "pr": {"n_steps": 240, "n_checks": 2},
            "asr": FEW_RECURRENT,
            # Too few for slots, which need hundreds of updates; they show that the task runs.
            "sf": {**FEW_RECURRENT, "n_steps": 40},
            "asv": {"n_steps": 60, "n_checks": 2},
            "sd": {"n_steps": 60, "n_checks": 2},
        },
        n_runs=5,
        propagation_clips=4,
        propagation_s=3.0,
    ),
    # Hours of speech, on one GPU or a patient CPU.
    "small": Scale(
        encoders=PAPER,
        front_end=RECOMMENDED,
        iterations=2,
        n_units=100,
        second_units=200,
        pretrain_steps=10_000,
        second_steps=10_000,
        quantize_steps=(5_000, 5_000),
        peak_lr=1e-3,
        quantize_peak_lr=5e-4,
        warmup_share=0.1,
        max_gradient_norm=1.0,
        unmasked_weight=0.0,
        batch_s=87.5,
        crop_s=15.625,
    ),
    # arXiv 2311.02772: 960 hours, 32 GPUs with 36.5 s of audio each, 250k and 600k steps.
    "full": Scale(
        encoders=PAPER,
        front_end=RECOMMENDED,
        iterations=2,
        n_units=100,
        second_units=500,
        pretrain_steps=250_000,
        second_steps=600_000,
        quantize_steps=(100_000, 100_000),
        peak_lr=5e-4,
        quantize_peak_lr=2e-4,
        warmup_share=0.08,
        batch_s=36.5,
        crop_s=15.625,
        log_every_steps=100,
        ranks=32,
    ),
}


def scale_named(name: str) -> Scale:
    """The scale of a name; raises ConfigError for unknown names."""
    if name not in SCALES:
        raise ConfigError(f"unknown scale {name!r}{suggest(name, list(SCALES))}")
    return SCALES[name]


def changed(
    scale: Scale,
    *,
    encoders: Sequence[str] = (),
    shapes: Mapping[str, ModelConfig] | None = None,
    plans: Sequence[str] = (),
    settings: Sequence[str] = (),
    pretrain_steps: int | None = None,
    quantize_steps: Sequence[int] = (),
    head_steps: int | None = None,
) -> Scale:
    """Returns a scale with some values replaced; arguments that are empty or None change nothing.

    settings: added to those of the scale, after them.  head_steps: updates of every head.
    """
    changes: dict[str, Any] = {"settings": (*scale.settings, *settings)}
    if encoders:
        changes |= {"encoders": tuple(encoders), "shapes": shapes or {}}
    if plans:
        changes["plans"] = tuple(plans)
    if pretrain_steps is not None:
        changes |= {"pretrain_steps": pretrain_steps}
        changes |= {"second_steps": pretrain_steps} if scale.second_steps is not None else {}
    if quantize_steps:
        changes["quantize_steps"] = tuple(quantize_steps)
    if head_steps is not None:
        changes["head_steps"] = head_steps
    return dataclasses.replace(scale, **changes)
