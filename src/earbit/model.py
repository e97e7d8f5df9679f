"""The audio language model: front end, encoder, unit head.

Letters: B batch, N samples, C channels, T frames, D width, U units, E width of the unit embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.encoders.build import EncoderConfig, build_encoder
from earbit.errors import ConfigError, DataError, require_range
from earbit.nn.front_end import MIN_SAMPLES, FrontEnd, FrontEndConfig, n_frames_of
from earbit.nn.leaves import Linear
from earbit.nn.lengths import length_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A whole model; `encoder` is one of the four kinds."""

    encoder: EncoderConfig
    front_end: FrontEndConfig = FrontEndConfig()
    n_units: int | None = None
    """Acoustic units that the head predicts; None builds no head."""
    d_unit: int = 256
    """Width of the unit embeddings."""
    dropout_input: float = 0.1
    normalize_waveform: bool = False
    """Whether audio is brought to zero mean and unit variance first (HuBERT Large; not Base)."""

    def __post_init__(self) -> None:
        if self.n_units is not None:
            require_range(2, 2**20, n_units=self.n_units)
        require_range(1, 2**20, d_unit=self.d_unit)
        require_range(0, 1, dropout_input=self.dropout_input)


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What one forward pass gives."""

    states: list[Tensor]
    """The encoder's input and the output of every layer, each (B, T, D)."""
    lengths: Tensor | None
    """Real frames of every row (B,); None when no row is padded."""
    feature_penalty: Tensor
    """Mean square of the front end's output over real frames (HuBERT's `features_pen`)."""


class UnitHead(torch.nn.Module):
    """Logit of unit u at a frame: cosine of the projected frame and the unit's embedding, over 0.1.

    (..., D) -> (..., U).  Source: HuBERT, arXiv 2106.07447, equation 3.
    """

    TEMPERATURE = 0.1

    def __init__(self, d_model: int, d_unit: int, n_units: int) -> None:
        super().__init__()
        self.projection = Linear(d_model, d_unit)
        self.embeddings = torch.nn.Parameter(torch.rand(n_units, d_unit))

    def forward(self, x: Tensor) -> Tensor:
        # Normalised in float32: under autocast a short embedding would lose its direction.
        projected = F.normalize(self.projection(x).float(), dim=-1)
        embeddings = F.normalize(self.embeddings.float(), dim=-1)
        return F.linear(projected, embeddings) / self.TEMPERATURE


class AudioModel(torch.nn.Module):
    """Raw 16 kHz audio to one vector per 20 ms, and to unit logits in pre-training."""

    FEATURE_GRADIENT_SCALE = 0.1
    """HuBERT multiplies the gradient into the front end by this (`feature_grad_mult`)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        d_model = config.encoder.d_model
        self.front_end = FrontEnd(config.front_end)
        self.feature_norm = torch.nn.LayerNorm(config.front_end.n_channels)
        self.projection = Linear(config.front_end.n_channels, d_model)
        self.dropout = torch.nn.Dropout(config.dropout_input)
        self.mask_embedding = torch.nn.Parameter(torch.rand(d_model))
        self.encoder = build_encoder(config.encoder)
        self.head = (
            None if config.n_units is None else UnitHead(d_model, config.d_unit, config.n_units)
        )

    def forward(
        self, wave_BN: Tensor, lengths: Tensor | None = None, mask_BT: Tensor | None = None
    ) -> ModelOutput:
        """Encodes a batch.

        wave_BN: float32, 16 kHz, rows padded with zeros;  lengths: samples of every row, or None
        when no row is padded;  mask_BT: True where a frame is hidden from the encoder.
        Raises DataError for rows too short to have one frame.
        """
        wave_BN, frame_lengths = self._prepare(wave_BN, lengths)
        features_BCT = self.front_end(wave_BN, lengths)
        if features_BCT.requires_grad:
            features_BCT.register_hook(lambda grad: grad * self.FEATURE_GRADIENT_SCALE)
        features_BTC = features_BCT.transpose(1, 2)
        penalty = _mean_square(features_BTC, frame_lengths)
        x_BTD = self.dropout(self.projection(self.feature_norm(features_BTC)))
        if mask_BT is not None:
            x_BTD = torch.where(mask_BT[..., None], self.mask_embedding.to(x_BTD.dtype), x_BTD)
        states = self.encoder(x_BTD, frame_lengths)
        return ModelOutput(states, frame_lengths, penalty)

    def unit_logits(self, state: Tensor) -> Tensor:
        """Logits of the units for frames (..., D) -> (..., U); ConfigError without a head."""
        if self.head is None:
            raise ConfigError("this model has no unit head; build it with n_units set")
        logits: Tensor = self.head(state)
        return logits

    def _prepare(self, wave_BN: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if lengths is None:
            if self.config.normalize_waveform:
                wave_BN = F.layer_norm(wave_BN, wave_BN.shape[-1:])
            return wave_BN, None
        if wave_BN.device.type != "meta" and int(lengths.min()) < MIN_SAMPLES:
            raise DataError(
                f"audio of {int(lengths.min())} samples in the batch; one frame needs "
                f"{MIN_SAMPLES} (25 ms), pad or drop shorter clips"
            )
        if wave_BN.device.type != "meta" and int(lengths.max()) > wave_BN.shape[1]:
            raise DataError(
                f"lengths say {int(lengths.max())} samples, rows have {wave_BN.shape[1]}; give the "
                "samples of every row before its padding"
            )
        if self.config.normalize_waveform:
            pairs = zip(wave_BN, lengths.tolist(), strict=True)
            rows = [F.layer_norm(row[:n], (n,)) for row, n in pairs]
            wave_BN = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return wave_BN, n_frames_of(lengths)


def _mean_square(features_BTC: Tensor, lengths: Tensor | None) -> Tensor:
    square_BT = features_BTC.float().square().mean(-1)
    if lengths is None:
        return square_BT.mean()
    real_BT = length_mask(lengths, square_BT.shape[1])
    return (square_BT * real_BT).sum() / real_BT.sum()
