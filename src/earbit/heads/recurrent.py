"""Recurrent heads.

Letters: L hidden states, B batch, T frames, D width, C outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from earbit.heads.head import Head, HeadShape
from earbit.heads.lstm import run_lstm
from earbit.heads.spec_augment import spec_augment
from earbit.nn.leaves import Linear

BLSTM_DROPOUT = 0.2


class Blstm(Head):
    """Weighted sum, linear, two bidirectional LSTMs, linear: (L, B, T, D) -> (B, T, C).

    Training masks the features (SpecAugment) and drops 0.2 of the outputs of each LSTM.
    Source: SUPERB, arXiv 2105.01051 (speech recognition, slot filling), as run by s3prl.
    """

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.projection = Linear(shape.width, shape.d_hidden)
        self.lstm = torch.nn.LSTM(
            shape.d_hidden,
            shape.d_hidden,
            num_layers=2,
            dropout=BLSTM_DROPOUT,
            bidirectional=True,
            batch_first=True,
        )
        self.dropout = torch.nn.Dropout(BLSTM_DROPOUT)
        self.output = Linear(2 * shape.d_hidden, shape.n_outputs)

    def forward(self, states_LBTD: Tensor, lengths: Tensor) -> Tensor:
        x_BTD = self.layers(states_LBTD)
        if self.training and self.is_augmented:
            x_BTD = spec_augment(x_BTD, lengths)
        h_BTH = run_lstm(self.lstm, self.projection(x_BTD), lengths)
        y_BTC: Tensor = self.output(self.dropout(h_BTH))
        return y_BTC


class FrameLstm(Head):
    """Weighted sum, one LSTM in time order, linear for every frame: (L, B, T, D) -> (B, T, C).

    Source: SUPERB, arXiv 2105.01051 (speaker diarization).
    """

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.lstm = torch.nn.LSTM(shape.width, shape.d_hidden, batch_first=True)
        self.output = Linear(shape.d_hidden, shape.n_outputs)

    def forward(self, states_LBTD: Tensor, lengths: Tensor) -> Tensor:
        h_BTH = run_lstm(self.lstm, self.layers(states_LBTD), lengths)
        y_BTC: Tensor = self.output(h_BTH)
        return y_BTC
