"""Configuration of a model of earbit in transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from transformers import PreTrainedConfig

from earbit.config import from_dict, to_dict
from earbit.frames import HOP_SAMPLES
from earbit.heads.head import HeadShape
from earbit.hub.earbit_folder import MODEL_TYPE
from earbit.hub.earbit_heads import D_HIDDEN
from earbit.load import built_model
from earbit.model import AudioModel, ModelConfig
from earbit.model_file import quantization_of
from earbit.nn.precision import Granularity, Precision
from earbit.presets import preset

DEFAULT_SYMBOLS = 32
"""Outputs of a new head for text, as in transformers."""


class EarbitConfig(PreTrainedConfig):
    """Shape, precisions and head of a model, as values of JSON.

    model: fields of `earbit.model.ModelConfig`, by default of the preset `hubert-base`;
    precisions: bits of weight and activation by quantized leaf;  granularities: of its weights;
    head: `network` (a row of `earbit.heads.table.HEADS`) and sizes of a trained head;
    origin: provenance of the weights.
    """

    model_type = MODEL_TYPE
    # So that `compute_metrics` of Trainer gets logits alone.
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["attention_mask"]

    def __init__(
        self,
        model: Mapping[str, Any] | None = None,
        precisions: Mapping[str, list[int]] | None = None,
        granularities: Mapping[str, Granularity] | None = None,
        head: Mapping[str, Any] | None = None,
        origin: Mapping[str, Any] | None = None,
        ctc_loss_reduction: str = "mean",
        ctc_zero_infinity: bool = True,
        **more: Any,
    ) -> None:
        self.model = dict(model) if model else to_dict(preset("hubert-base"))
        self.precisions = dict(precisions or {})
        self.granularities = dict(granularities or {})
        self.head = dict(head or {})
        self.origin = dict(origin or {})
        self.ctc_loss_reduction = ctc_loss_reduction
        self.ctc_zero_infinity = ctc_zero_infinity
        # The first symbol of a vocabulary is the CTC blank.
        super().__init__(**{"pad_token_id": 0, "bos_token_id": None, "eos_token_id": None} | more)

    @classmethod
    def of(cls, network: AudioModel, **more: Any) -> EarbitConfig:
        """The configuration of a model with its precisions; more: other fields."""
        values: dict[str, Any] = {"model": to_dict(network.config), **quantization_of(network)}
        return cls(**values, **more)

    @property
    def model_config(self) -> ModelConfig:
        """The configuration of the network; raises ConfigError for unknown fields."""
        config: ModelConfig = from_dict(ModelConfig, self.model, "model")
        return config

    def new_network(self) -> AudioModel:
        """A network with new weights; raises ConfigError for fields that do not fit."""
        precisions = {name: Precision(*bits) for name, bits in self.precisions.items()}
        return built_model(self.model_config, precisions, self.granularities)

    def head_shape(self, n_outputs: int) -> HeadShape:
        """Sizes of the head for a number of outputs; its hidden width is D_HIDDEN by default."""
        encoder = self.model_config.encoder
        return HeadShape(
            n_states=encoder.n_layers + 1,
            width=encoder.d_model,
            n_outputs=n_outputs,
            d_hidden=self.head.get("d_hidden", D_HIDDEN),
        )

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states."""
        return self.model_config.encoder.d_model

    @property
    def num_hidden_layers(self) -> int:
        """Number of layers of the encoder."""
        return self.model_config.encoder.n_layers

    @property
    def vocab_size(self) -> int:
        """Outputs of a head for text."""
        return int(self.head.get("n_outputs", DEFAULT_SYMBOLS))

    @vocab_size.setter
    def vocab_size(self, n_outputs: int) -> None:
        self.head["n_outputs"] = n_outputs

    @property
    def inputs_to_logits_ratio(self) -> int:
        """Samples per frame, with which pipelines align chunks."""
        return HOP_SAMPLES
