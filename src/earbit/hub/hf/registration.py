"""Registration of the classes of earbit with transformers."""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForCTC,
    Wav2Vec2FeatureExtractor,
)
from transformers.models.auto import modeling_auto

from earbit.hub.hf.configuration import EarbitConfig
from earbit.hub.hf.models import EarbitForAudioClassification, EarbitForCTC, EarbitModel


def register() -> None:
    """Registers configuration, models and feature extractor; a second call changes nothing."""
    AutoConfig.register(EarbitConfig.model_type, EarbitConfig, exist_ok=True)
    AutoModel.register(EarbitConfig, EarbitModel, exist_ok=True)
    AutoModelForCTC.register(EarbitConfig, EarbitForCTC, exist_ok=True)
    AutoModelForAudioClassification.register(
        EarbitConfig, EarbitForAudioClassification, exist_ok=True
    )
    AutoFeatureExtractor.register(EarbitConfig, Wav2Vec2FeatureExtractor, exist_ok=True)
    # The pipeline compares names with this table, which `register` does not fill.
    names = modeling_auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES
    names[EarbitConfig.model_type] = EarbitForAudioClassification.__name__
