"""Kind `sequence`: a text without times, one distribution over symbols per frame, CTC.

A symbol is a character of a text, or an item of a list such as phones, which ends in a space.
Source: Graves et al. 2006, Connectionist Temporal Classification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.audio.splits import HELD_OUT_SHARES, NAMES, hold_out_speakers
from earbit.errors import DataError
from earbit.superb.kinds.kind import Kind, Slots, Splits
from earbit.superb.task import Example

BLANK = "<blank>"
Target = tuple[str, ...]


def symbols_of(value: Any) -> Target | None:
    """Characters of a text, with single spaces, or items of a list; None for anything else."""
    if isinstance(value, str):
        return tuple(" ".join(value.split())) or None
    if isinstance(value, (list, tuple)) and all(isinstance(s, str) and s.strip() for s in value):
        return tuple(f"{' '.join(symbol.split())} " for symbol in value) or None
    return None


def text_splits(examples: Sequence[Example], split_of: Mapping[str, str | None]) -> Splits:
    """Splits of the corpus; valid or test, where it has none, are held-out speakers of the rest.

    Raises DataError for a split without clips.
    """
    examples = sorted(examples, key=lambda example: example.id)
    parts: dict[str, list[Example]] = {name: [] for name in NAMES}
    for example in examples:
        parts[split_of.get(example.id) or "train"].append(example)
    missing = {name: share for name, share in HELD_OUT_SHARES.items() if not parts[name]}
    if missing:
        # No split has to hold every text, so all clips are of one class here.
        alike = [replace(example, target="") for example in parts["train"]]
        of_id = {example.id: example for example in examples}
        drawn = hold_out_speakers(alike, missing)
        parts |= {name: [of_id[clip.id] for clip in part] for name, part in drawn.items()}
    speakers = {name: {e.speaker for e in part} - {None} for name, part in parts.items()}
    if empty := [name for name in NAMES if not parts[name]]:
        raise DataError(
            f"no {' or '.join(empty)} clip among {len(examples)} with a text; give clips of at "
            "least three speakers, or `split` train, valid and test in the manifest"
        )
    return Splits(
        train=tuple(parts["train"]),
        valid=tuple(parts["valid"]),
        test=tuple(parts["test"]),
        summary={
            "drawn_by": f"{' and '.join(missing)} by speaker" if missing else "corpus",
            "n_speakers": {name: len(found) for name, found in speakers.items()},
        },
    )


def vocabulary(targets: Sequence[Target]) -> Slots:
    """The blank, and all symbols of the targets, sorted."""
    return ((BLANK, *sorted({symbol for target in targets for symbol in target})),)


def symbol_indices(target: Target, slots: Slots) -> Tensor:
    """Indices of the symbols, int64 (n_symbols,)."""
    index = {symbol: i for i, symbol in enumerate(slots[0])}
    if unknown := [symbol for symbol in target if symbol not in index]:
        raise DataError(f"symbol {unknown[0]!r} is in no training clip")
    return torch.tensor([index[symbol] for symbol in target])


def ctc_loss(
    outputs_BTC: Tensor, lengths: Tensor, targets: Sequence[Tensor], slots: Slots
) -> Tensor:
    """CTC loss per symbol, mean over the batch; a clip with too few frames counts as 0."""
    log_TBC = outputs_BTC.log_softmax(-1).transpose(0, 1)
    n_symbols = torch.tensor([len(target) for target in targets])
    return F.ctc_loss(
        log_TBC, torch.cat(list(targets)), lengths, n_symbols, blank=0, zero_infinity=True
    )


def greedy_symbols(outputs_TC: Tensor, slots: Slots) -> Target:
    """The likeliest symbol of each frame, repeats merged and blanks dropped."""
    indices = torch.unique_consecutive(outputs_TC.argmax(-1)).tolist()
    return tuple(slots[0][i] for i in indices if i)


def ctc_frames(target: Target) -> int:
    """Frames that CTC needs: one per symbol and one blank between equal neighbours."""
    return len(target) + sum(a == b for a, b in pairwise(target))


SEQUENCE = Kind(
    target_of=symbols_of,
    splits=text_splits,
    slots_of=vocabulary,
    encode=symbol_indices,
    loss=ctc_loss,
    decode=greedy_symbols,
    min_frames=ctc_frames,
)
