"""Kind `sequence`: unaligned text, with CTC over one symbol distribution per frame.

A symbol is a character of a text, or an item of a list such as phones, which ends in a space.
Source: Graves et al. 2006, Connectionist Temporal Classification.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.audio.splits import speaker_splits
from earbit.errors import DataError
from earbit.heads.head import Head
from earbit.heads.kinds.kind import Kind, Slots, clip_cases
from earbit.runtime.greedy_text import greedy_indices

BLANK = "<blank>"
Target = tuple[str, ...]


def symbols_of(value: Any) -> Target | None:
    """Symbols of a text (its characters, with single spaces) or of a list (its items).

    A tuple holds symbols already.  None for other values.
    """
    if isinstance(value, tuple):
        return value or None
    if isinstance(value, str):
        return tuple(" ".join(value.split())) or None
    if isinstance(value, list) and all(isinstance(s, str) and s.strip() for s in value):
        return tuple(f"{' '.join(symbol.split())} " for symbol in value) or None
    return None


def vocabulary(targets: Sequence[Target]) -> Slots:
    """The blank and the sorted symbols of all targets."""
    return ((BLANK, *sorted({symbol for target in targets for symbol in target})),)


def symbol_indices(target: Target, slots: Slots, n_frames: int, hop_samples: int) -> Tensor:
    """Indices of the symbols, int64 (n_symbols,); ignores the length of the clip."""
    index = {symbol: i for i, symbol in enumerate(slots[0])}
    if unknown := [symbol for symbol in target if symbol not in index]:
        raise DataError(f"symbol {unknown[0]!r} is in no training clip")
    return torch.tensor([index[symbol] for symbol in target])


def ctc_loss(
    head: Head, outputs_BTC: Tensor, lengths: Tensor, targets: Sequence[Tensor], slots: Slots
) -> Tensor:
    """CTC loss per symbol, averaged over the batch; 0 for clips with too few frames."""
    log_TBC = outputs_BTC.log_softmax(-1).transpose(0, 1)
    n_symbols = torch.tensor([len(target) for target in targets])
    return F.ctc_loss(
        log_TBC, torch.cat(list(targets)), lengths, n_symbols, blank=0, zero_infinity=True
    )


def greedy_symbols(outputs_TC: Tensor, slots: Slots, hop_samples: int, setting: None) -> Target:
    """Symbols of the greedy path."""
    return tuple(slots[0][i] for i in greedy_indices(outputs_TC.numpy()))


def ctc_frames(target: Target) -> int:
    """Minimum number of frames for CTC: one per symbol, and one blank between equal neighbours."""
    return len(target) + sum(a == b for a, b in pairwise(target))


SEQUENCE = Kind(
    target_of=symbols_of,
    splits=speaker_splits,
    slots_of=vocabulary,
    encode=symbol_indices,
    loss=ctc_loss,
    decode=greedy_symbols,
    cases=clip_cases,
    min_frames=ctc_frames,
)
