"""LSTMs over clips of different lengths.

Letters: B batch, T frames, D width, H width of a direction.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import dropout
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def run_lstm(lstm: torch.nn.LSTM, x_BTD: Tensor, lengths: Tensor) -> Tensor:
    """Outputs of an LSTM with `batch_first`, which never reads padding; padded outputs are zero."""
    return (_packed if x_BTD.is_cuda else _padded)(lstm, x_BTD, lengths)


def _packed(lstm: torch.nn.LSTM, x_BTD: Tensor, lengths: Tensor) -> Tensor:
    packed = pack_padded_sequence(x_BTD, lengths.cpu(), batch_first=True, enforce_sorted=False)
    outputs, _ = lstm(packed)
    h_BTH: Tensor = pad_packed_sequence(outputs, batch_first=True, total_length=x_BTD.shape[1])[0]
    return h_BTH


def _padded(lstm: torch.nn.LSTM, x_BTD: Tensor, lengths: Tensor) -> Tensor:
    """Each layer and direction as one LSTM over padded clips.

    The gradient of a packed sequence takes time with the square of T on a CPU, since every frame
    adds to a gradient of all frames.  Padding comes after the frames of a clip, so a direction that
    reads the clip from its last frame on needs it reversed alone.
    """
    n_frames = x_BTD.shape[1]
    t_1T = torch.arange(n_frames, device=x_BTD.device)[None]
    length_B1 = lengths.to(x_BTD.device)[:, None]
    is_real_BT1 = (t_1T < length_B1)[..., None]
    reversed_BT1 = torch.where(t_1T < length_B1, length_B1 - 1 - t_1T, t_1T)[..., None]

    def reverse(x: Tensor) -> Tensor:
        return x.gather(1, reversed_BT1.expand(-1, -1, x.shape[2]))

    for layer in range(lstm.num_layers):
        if layer:
            x_BTD = dropout(x_BTD, lstm.dropout, lstm.training)
        outputs = [_direction(lstm, f"l{layer}", x_BTD)]
        if lstm.bidirectional:
            outputs.append(reverse(_direction(lstm, f"l{layer}_reverse", reverse(x_BTD))))
        x_BTD = torch.cat(outputs, dim=2)
    return x_BTD * is_real_BT1


def _direction(lstm: torch.nn.LSTM, name: str, x_BTD: Tensor) -> Tensor:
    weights = [
        getattr(lstm, f"{kind}_{name}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    state_1BH = x_BTD.new_zeros(1, len(x_BTD), lstm.hidden_size)
    h_BTH: Tensor = torch.lstm(
        x_BTD,
        (state_1BH, state_1BH),
        weights,
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=lstm.training,
        bidirectional=False,
        batch_first=True,
    )[0]
    return h_BTH
