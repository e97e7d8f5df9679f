"""Converts task heads of other programs to heads of earbit, which `earbit export --head` packs.

Letters: L hidden states, D width, C outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from earbit.errors import FormatError
from earbit.heads.head import Head, HeadShape
from earbit.heads.kinds.kind import Slots
from earbit.heads.kinds.sequence import BLANK
from earbit.heads.table import HEADS
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.nn.shapes_only import shapes_only
from earbit.superb.head_file import GridPoint, TrainedHead
from earbit.superb.imported import CTC, LABELS
from earbit.superb.task import Task

NEVER = -1e4
"""Logit of a hidden state that a head does not read: its softmax weight is exactly 0."""
MAX_SYMBOLS = 2**13
"""Outputs of a CTC head, which has a square matrix of that width: 256 MiB."""
MAX_SYMBOL = 256
"""Length of a symbol in characters; a pickle may hold one long text in many places."""


class UnusableHead(FormatError):
    """A head that earbit cannot take; its encoder is imported without it."""


@dataclass(frozen=True, slots=True)
class ImportedHead:
    """A head with the tensors of another program."""

    task: Task
    slots: Slots
    tensors: Mapping[str, Tensor]
    """State dict of the head of the task."""
    d_hidden: int
    blank: int = 0
    """Output that was the CTC blank in the source; here it is output 0."""
    min_log_odds: float | None = None
    """Log odds below which a label is rejected (`earbit.superb.rejection`)."""

    def trained(self, model: AudioModel) -> TrainedHead:
        """The head for the hidden states of `model`, with which it is imported."""
        encoder = model.config.encoder
        n_outputs = sum(map(len, self.slots))
        shape = HeadShape(
            n_states=encoder.n_layers + 1,
            width=encoder.d_model,
            n_outputs=n_outputs,
            d_hidden=self.d_hidden,
        )
        with shapes_only():  # sizes of a damaged file may take any memory
            head: Head = HEADS[self.task.head](shape)
        shapes = {name: tensor.shape for name, tensor in head.state_dict().items()}
        if shapes != {name: tensor.shape for name, tensor in self.tensors.items()}:
            raise FormatError(
                f"the tensors of the head do not fit {n_outputs} outputs, hidden width "
                f"{self.d_hidden} and {shape.n_states} states of width {shape.width}"
            )
        head.load_state_dict(dict(self.tensors), assign=True)
        return TrainedHead(
            task=self.task,
            head=head.eval(),
            slots=self.slots,
            model_digest=weights_digest(model),
            point=GridPoint(lr=0.0, value=0.0, step=0, n_skipped=0),
            min_log_odds=self.min_log_odds,
        )


def last_state(n_states: int) -> Tensor:
    """Logits (L,) of a weighted sum that is the last state."""
    logits = torch.full((n_states,), NEVER)
    logits[-1] = 0.0
    return logits


def ctc_head(
    weight_CD: Tensor,
    bias_C: Tensor,
    symbols: Sequence[str],
    *,
    blank: int,
    delimiter: str | None,
    are_phones: bool,
    n_states: int,
) -> ImportedHead:
    """A linear CTC layer on the last state; the blank becomes output 0.

    symbols: names of all outputs;  delimiter: symbol that becomes a space;  are_phones: whether
    spaces separate symbols in text.  Raises UnusableHead for more than `MAX_SYMBOLS`, and for one
    that is empty or longer than `MAX_SYMBOL`.
    """
    if len(symbols) > MAX_SYMBOLS:
        raise UnusableHead(f"{len(symbols)} outputs of a CTC head; allowed: at most {MAX_SYMBOLS}")
    order = [blank, *(i for i in range(len(symbols)) if i != blank)]
    for symbol in (symbols[i] for i in order[1:]):
        if not 0 < len(symbol) <= MAX_SYMBOL:
            raise UnusableHead(f"a symbol of {len(symbol)} characters; allowed: 1 to {MAX_SYMBOL}")
    end = " " if are_phones else ""
    names = [" " if symbols[i] == delimiter else symbols[i] + end for i in order[1:]]
    n_outputs = len(order)
    tensors = {
        "layers.logits": last_state(n_states),
        "projection.weight": weight_CD[order],
        "projection.bias": bias_C[order],
        # The second of two linear layers is the identity, and `export` multiplies them.
        "output.weight": torch.eye(n_outputs),
        "output.bias": torch.zeros(n_outputs),
    }
    return ImportedHead(CTC, ((BLANK, *names),), tensors, n_outputs, blank)


def class_head(
    projector: tuple[Tensor, Tensor],
    classifier: tuple[Tensor, Tensor],
    labels: Sequence[str],
    *,
    logits_L: Tensor,
) -> ImportedHead:
    """Weighted sum of states, linear, mean over frames, linear; pairs are weight and bias."""
    tensors = {
        "layers.logits": logits_L,
        "projection.weight": projector[0],
        "projection.bias": projector[1],
        "output.weight": classifier[0],
        "output.bias": classifier[1],
    }
    return ImportedHead(LABELS, (tuple(labels),), tensors, len(projector[0]))
