"""The audio language model: front end, encoder, unit head.

Letters: B batch, N samples, C channels, T frames, D width, U units, E width of the unit embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.config import LATER
from earbit.encoders.table import EncoderConfig, build_encoder
from earbit.errors import ConfigError, DataError, require_range
from earbit.frames import MIN_SAMPLES, n_frames_of
from earbit.nn.devices import without_autocast
from earbit.nn.filterbank import Filterbank, FilterbankConfig
from earbit.nn.front_end import FrontEnd, FrontEndConfig
from earbit.nn.leaves import Linear
from earbit.nn.lengths import length_mask
from earbit.nn.norms import at_least_float32, centred_over_time
from earbit.nn.roles import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Configuration of a model; `encoder` is a configuration of the table of encoders."""

    encoder: EncoderConfig
    front_end: FrontEndConfig | FilterbankConfig = FrontEndConfig()
    n_units: int | None = None
    """Number of acoustic units that the head predicts; None builds no head."""
    d_unit: int = 256
    """Width of the unit embeddings."""
    dropout_input: float = 0.1
    normalize_waveform: bool = False
    """Whether audio is normalised to zero mean and unit variance (HuBERT Large; not Base)."""
    feature_gradient_scale: float = 0.1
    """Factor on the gradient into the front end: 0.1 in HuBERT Base, 1 in Large."""
    feature_norm: bool = field(default=True, metadata=LATER)
    """Whether a layer norm precedes the projection to the width of the encoder; not in
    DistilHuBERT."""
    waveform_eps: float = field(default=1e-5, metadata=LATER)
    """Term added to the variance of normalised audio: 1e-5 in fairseq, 1e-7 in transformers."""

    def __post_init__(self) -> None:
        if self.n_units is not None:
            require_range(2, 2**20, n_units=self.n_units)
        require_range(1, 2**20, d_unit=self.d_unit)
        require_range(0, 1, dropout_input=self.dropout_input)
        require_range(1e-12, 1, waveform_eps=self.waveform_eps)
        require_range(0, 2**10, feature_gradient_scale=self.feature_gradient_scale)


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Result of one forward pass."""

    states: list[Tensor]
    """The encoder's input and the output of every layer, each (B, T, D).

    Padded frames hold meaningless values."""
    lengths: Tensor | None
    """Number of unpadded frames of every row (B,); None if no row is padded."""
    feature_penalty: Tensor
    """Mean square of the front end's output over unpadded frames (HuBERT's `features_pen`).

    0 for a filterbank, whose energies are no result of training."""


class UnitHead(torch.nn.Module):
    """Logit of unit u at a frame: cosine of the projected frame and the unit's embedding, over 0.1.

    (..., D) -> (..., U).  Source: HuBERT, arXiv 2106.07447, equation 3.
    """

    role: Role = "head"
    TEMPERATURE = 0.1

    def __init__(self, d_model: int, d_unit: int, n_units: int) -> None:
        super().__init__()
        self.projection = Linear(d_model, d_unit)
        self.embeddings = torch.nn.Parameter(torch.rand(n_units, d_unit))

    def forward(self, x: Tensor) -> Tensor:
        # In float32: under autocast a small embedding would lose its direction, and cosines near 1
        # would be equal.
        projected = F.normalize(self.projection(x).float(), dim=-1)
        embeddings = F.normalize(self.embeddings.float(), dim=-1)
        with without_autocast(x.device):
            return F.linear(projected, embeddings) / self.TEMPERATURE


class AudioModel(torch.nn.Module):
    """Encodes raw 16 kHz audio as one vector per 20 ms, and as unit logits in pre-training."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        d_model = config.encoder.d_model
        self.front_end = (
            Filterbank(config.front_end)
            if isinstance(config.front_end, FilterbankConfig)
            else FrontEnd(config.front_end)
        )
        self.feature_norm = (
            torch.nn.LayerNorm(config.front_end.n_channels)
            if config.feature_norm
            else torch.nn.Identity()
        )
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

        wave_BN: float32, 16 kHz, rows padded with zeros;  lengths: samples of every row, on the
        CPU or on the device of the audio, or None when no row is padded;  mask_BT: True where a
        frame is hidden from the encoder.  Raises DataError for what is no such batch, and for rows
        too short to have one frame; numbers that lie on an accelerator are not looked at.
        """
        _check_batch(wave_BN, lengths, self.mask_embedding.dtype)
        if lengths is not None:
            lengths = lengths.to(wave_BN.device)
        frame_lengths = None if lengths is None else n_frames_of(lengths)
        if self.config.normalize_waveform:
            wave_BN = _normalized(wave_BN, lengths, self.config.waveform_eps)
        features_BCT = self.front_end(wave_BN, lengths)
        if features_BCT.requires_grad:
            features_BCT.register_hook(lambda grad: grad * self.config.feature_gradient_scale)
        features_BTC = features_BCT.transpose(1, 2)
        penalty = (
            torch.zeros((), device=features_BTC.device)
            if isinstance(self.front_end, Filterbank)
            else _mean_square(features_BTC, frame_lengths)
        )
        x_BTD = self.dropout(self.projection(self.feature_norm(features_BTC)))
        if mask_BT is not None:
            if mask_BT.shape != x_BTD.shape[:2]:
                raise DataError(
                    f"mask of shape {tuple(mask_BT.shape)} for {tuple(x_BTD.shape[:2])} frames; "
                    "give one truth value per frame, see n_frames_of"
                )
            x_BTD = torch.where(mask_BT[..., None], self.mask_embedding.to(x_BTD.dtype), x_BTD)
        states = self.encoder(x_BTD, frame_lengths)
        return ModelOutput(states, frame_lengths, penalty)

    def unit_logits(self, state: Tensor) -> Tensor:
        """Unit logits of frames, (..., D) -> (..., U); raises ConfigError without a head."""
        if self.head is None:
            raise ConfigError("this model has no unit head; build it with n_units set")
        logits: Tensor = self.head(state)
        return logits


def _check_batch(wave_BN: Tensor, lengths: Tensor | None, dtype: torch.dtype) -> None:
    """Raises DataError, with the numbers, for an invalid batch of audio or lengths."""
    if not isinstance(wave_BN, Tensor) or not isinstance(lengths, Tensor | None):
        raise DataError(
            f"audio is {type(wave_BN).__name__}, lengths {type(lengths).__name__}; give tensors, "
            "as torch.from_numpy and torch.tensor make them"
        )
    if wave_BN.dim() != 2 or not wave_BN.shape[0] or wave_BN.dtype != dtype:
        raise DataError(
            f"audio of shape {tuple(wave_BN.shape)} and {wave_BN.dtype}; give {dtype}, as the "
            "model's weights are, of shape (clips, samples), one clip as (1, samples)"
        )
    if wave_BN.shape[1] < MIN_SAMPLES:
        raise DataError(
            f"audio of {wave_BN.shape[1]} samples; one frame needs {MIN_SAMPLES} (25 ms), "
            "pad or drop shorter clips"
        )
    is_looked_at = wave_BN.device.type == "cpu" and not torch.compiler.is_compiling()
    if is_looked_at and not bool(wave_BN.isfinite().all()):
        row = int((~wave_BN.isfinite().all(-1)).nonzero()[0])
        raise DataError(f"audio of row {row} is not finite; leave that clip out")
    if lengths is None:
        return
    if lengths.shape != wave_BN.shape[:1] or lengths.dtype not in (torch.int32, torch.int64):
        raise DataError(
            f"lengths of shape {tuple(lengths.shape)} and {lengths.dtype} for {wave_BN.shape[0]} "
            "clips; give one whole number of samples per clip"
        )
    if lengths.device.type != "cpu" or torch.compiler.is_compiling():
        return
    if int(lengths.min()) < MIN_SAMPLES:
        raise DataError(
            f"audio of {int(lengths.min())} samples in the batch, row {int(lengths.argmin())}; a "
            f"length is {MIN_SAMPLES} (25 ms, one frame) or more, pad or drop shorter clips"
        )
    if int(lengths.max()) > wave_BN.shape[1]:
        raise DataError(
            f"lengths say {int(lengths.max())} samples, rows have {wave_BN.shape[1]}; give the "
            "samples of every row before its padding"
        )


def _normalized(wave_BN: Tensor, lengths: Tensor | None, eps: float) -> Tensor:
    """Normalises every row over its unpadded samples; padding stays zero."""
    if lengths is None:
        return F.layer_norm(wave_BN, wave_BN.shape[-1:], eps=eps)
    real_BN, n_B1 = length_mask(lengths, wave_BN.shape[1]), lengths[:, None]
    centred_BN, variance_B1 = centred_over_time(at_least_float32(wave_BN), real_BN, n_B1)
    return (centred_BN * torch.rsqrt(variance_B1 + eps)).to(wave_BN.dtype)


def _mean_square(features_BTC: Tensor, lengths: Tensor | None) -> Tensor:
    square_BT = features_BTC.float().square().mean(-1)
    if lengths is None:
        return square_BT.mean()
    real_BT = length_mask(lengths, square_BT.shape[1])
    return (square_BT * real_BT).sum() / real_BT.sum()
