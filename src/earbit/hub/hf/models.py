"""Models of earbit as classes of transformers.

Letters: B batch, N samples, L hidden states, T frames, D width, C outputs, S symbols of a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from earbit.errors import ConfigError, DataError
from earbit.frames import n_frames_of
from earbit.heads.head import Head, WeightedSum
from earbit.heads.table import HEADS
from earbit.hub.hf.configuration import EarbitConfig
from earbit.model import AudioModel
from earbit.nn.lengths import length_mask
from earbit.nn.shapes_only import shapes_only

IGNORED_LABEL = -100
"""Padding of labels in transformers."""

UNLIKELY = -1e4
"""Score of all symbols but the blank at padding; half precision can hold it."""


@dataclass
class EarbitOutput(ModelOutput):
    """Result of a model; fields that were not asked for are None."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    """(B, T, C) of text, (B, C) of classes."""
    last_hidden_state: Tensor | None = None
    """(B, T, D), of `EarbitModel` only."""
    hidden_states: tuple[Tensor, ...] | None = None
    """The encoder's input and the output of every layer, each (B, T, D)."""
    attention_mask: Tensor | None = None
    """True at frames that are no padding, bool (B, T)."""


class EarbitPreTrainedModel(PreTrainedModel):
    """Base of the models: configuration and initialisation."""

    config_class = EarbitConfig
    base_model_prefix = "earbit"
    main_input_name = "input_values"

    def _get_feat_extract_output_lengths(self, input_lengths: Tensor) -> Tensor:
        """Frames of clips of a number of samples, under the name that scripts call."""
        return n_frames_of(input_lengths)

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Initialises a module of a head that a folder has no weights for."""
        if isinstance(module, WeightedSum):
            torch.nn.init.zeros_(module.logits)
        elif isinstance(module, Head):
            for parameter in module.parameters(recurse=False):
                torch.nn.init.xavier_normal_(parameter)
        elif isinstance(module, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.LSTM)):
            module.reset_parameters()


class EarbitModel(EarbitPreTrainedModel):
    """Encoder with any of the architectures and precisions of earbit.

    A new model has random weights; quantized leaves then need `earbit.quantize.calibrate`.
    """

    def __init__(self, config: EarbitConfig) -> None:
        super().__init__(config)
        self.network: AudioModel
        if torch.get_default_device().type == "meta":
            # As from_pretrained builds it.  Weights and scales follow from the file.
            with shapes_only():
                self.network = config.new_network()
        else:
            self.network = config.new_network()
            _mark_initialised(self.network)
        self.post_init()

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> EarbitOutput | tuple[Tensor, ...]:
        """Encodes a batch of 16 kHz audio, float (B, N).

        attention_mask: 1 at samples and 0 at padding behind them (B, N).  Raises DataError for
        another mask, and for clips of less than 400 samples.
        """
        states, lengths = self.states(input_values, attention_mask)
        output = EarbitOutput(
            last_hidden_state=states[-1],
            hidden_states=tuple(states) if _asked(output_hidden_states, self.config) else None,
            attention_mask=_frame_mask(states[-1], lengths),
        )
        return _returned(output, return_dict, self.config)

    def states(
        self, input_values: Tensor, attention_mask: Tensor | None
    ) -> tuple[list[Tensor], Tensor | None]:
        """All hidden states, and the frames of each row, or None if no row is padded."""
        result = self.network(input_values, lengths_of(attention_mask))
        return result.states, result.lengths

    def freeze_feature_encoder(self) -> None:
        """Stops the training of the convolutional front end."""
        self.network.front_end.requires_grad_(False)


class _WithHead(EarbitPreTrainedModel):
    """An encoder and a head on its hidden states."""

    networks: tuple[str, ...]
    """Rows of `earbit.heads.table.HEADS` that this class can hold, its default first."""

    def __init__(self, config: EarbitConfig, n_outputs: int) -> None:
        super().__init__(config)
        self.earbit = EarbitModel(config)
        name = config.head.get("network", self.networks[0])
        if name not in self.networks:
            raise ConfigError(
                f"{type(self).__name__} with a head {name!r}; allowed: {', '.join(self.networks)}"
            )
        self.head: Head = HEADS[name](config.head_shape(n_outputs))
        self.post_init()

    def _logits(
        self, input_values: Tensor, attention_mask: Tensor | None
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Outputs of the head, hidden states, and frames of each row (B,)."""
        states, lengths = self.earbit.states(input_values, attention_mask)
        if lengths is None:
            n_batch, n_frames, _ = states[-1].shape
            lengths = torch.full((n_batch,), n_frames, device=states[-1].device)
        return self.head(torch.stack(states), lengths), states, lengths

    def freeze_feature_encoder(self) -> None:
        """Stops the training of the convolutional front end."""
        self.earbit.freeze_feature_encoder()

    def freeze_base_model(self) -> None:
        """Stops the training of everything but the head."""
        self.earbit.requires_grad_(False)


class EarbitForCTC(_WithHead):
    """Encoder and a head for text, trained by CTC; symbol 0 is the blank."""

    networks = ("frame_linear", "blstm")

    def __init__(self, config: EarbitConfig) -> None:
        super().__init__(config, config.vocab_size)

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> EarbitOutput | tuple[Tensor, ...]:
        """Scores of all symbols for every frame (B, T, C), and the CTC loss of `labels` (B, S).

        labels: indices of symbols, padded with -100.  Raises DataError for other indices.
        """
        logits_BTC, states, lengths = self._logits(input_values, attention_mask)
        # Pipelines decode all frames of a batch, so padding becomes blanks.
        real_BT1 = _frame_mask(logits_BTC, lengths)[..., None]
        logits_BTC = torch.where(real_BT1, logits_BTC, self._blank(logits_BTC))
        loss = None
        if labels is not None:
            loss = self._loss(logits_BTC, lengths, labels)
        output = EarbitOutput(
            loss=loss,
            logits=logits_BTC,
            hidden_states=tuple(states) if _asked(output_hidden_states, self.config) else None,
            attention_mask=_frame_mask(logits_BTC, lengths),
        )
        return _returned(output, return_dict, self.config)

    def _blank(self, logits_BTC: Tensor) -> Tensor:
        """Scores (C,) of a frame that is certainly blank."""
        scores = logits_BTC.new_full(logits_BTC.shape[-1:], UNLIKELY)
        scores[self.config.pad_token_id] = 0.0
        return scores

    def _loss(self, logits_BTC: Tensor, lengths: Tensor, labels_BS: Tensor) -> Tensor:
        n_outputs = logits_BTC.shape[-1]
        real_BS = labels_BS != IGNORED_LABEL
        wrong = labels_BS[real_BS & ((labels_BS < 0) | (labels_BS >= n_outputs))]
        if len(wrong):
            raise DataError(
                f"label {int(wrong[0])}; allowed: 0 to {n_outputs - 1}, the symbols of the "
                f"vocabulary, and {IGNORED_LABEL} as padding"
            )
        # In float32, because half precision cannot hold the sums of CTC.
        log_TBC = F.log_softmax(logits_BTC, dim=-1, dtype=torch.float32).transpose(0, 1)
        return F.ctc_loss(
            log_TBC,
            labels_BS[real_BS],
            lengths,
            real_BS.sum(-1),
            blank=self.config.pad_token_id,
            reduction=self.config.ctc_loss_reduction,
            zero_infinity=self.config.ctc_zero_infinity,
        )


class EarbitForAudioClassification(_WithHead):
    """Encoder and a head for one class per clip."""

    networks = ("mean_pool_linear",)

    def __init__(self, config: EarbitConfig) -> None:
        super().__init__(config, config.num_labels)

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> EarbitOutput | tuple[Tensor, ...]:
        """Scores of all classes (B, C), and the cross entropy of `labels` (B,)."""
        logits_BC, states, lengths = self._logits(input_values, attention_mask)
        output = EarbitOutput(
            loss=None if labels is None else F.cross_entropy(logits_BC.float(), labels.view(-1)),
            logits=logits_BC,
            hidden_states=tuple(states) if _asked(output_hidden_states, self.config) else None,
            attention_mask=_frame_mask(states[-1], lengths),
        )
        return _returned(output, return_dict, self.config)


def lengths_of(attention_mask: Tensor | None) -> Tensor | None:
    """Samples of every row of a mask (B, N); raises DataError unless ones precede zeros."""
    if attention_mask is None:
        return None
    real_BN = attention_mask.bool()
    lengths = real_BN.sum(-1)
    if not bool((real_BN == length_mask(lengths, real_BN.shape[1])).all()):
        raise DataError(
            "the attention mask has zeros before ones; pad on the right (padding_side='right')"
        )
    # Without padding, the model is faster without lengths.
    return None if bool(real_BN.all()) else lengths


def _frame_mask(values_BT: Tensor, lengths: Tensor | None) -> Tensor:
    n_batch, n_frames = values_BT.shape[:2]
    if lengths is None:
        return torch.ones(n_batch, n_frames, dtype=torch.bool, device=values_BT.device)
    return length_mask(lengths, n_frames)


def _asked(output_hidden_states: bool | None, config: EarbitConfig) -> bool:
    if output_hidden_states is None:
        return bool(config.output_hidden_states)
    return output_hidden_states


def _returned(
    output: EarbitOutput, return_dict: bool | None, config: EarbitConfig
) -> EarbitOutput | tuple[Tensor, ...]:
    is_dict = config.return_dict if return_dict is None else return_dict
    return output if is_dict else output.to_tuple()


def _mark_initialised(network: torch.nn.Module) -> None:
    """Marks new weights, which transformers would initialise again."""
    for module in network.modules():
        module._is_hf_initialized = True  # type: ignore[assignment]
