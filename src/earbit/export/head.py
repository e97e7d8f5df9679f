"""Lowers a trained head on the hidden states of a program, and verifies it against PyTorch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earbit.errors import ConfigError, UnsupportedError
from earbit.export.arrays import array
from earbit.export.head_ops import LOWERINGS
from earbit.export.program import Program
from earbit.frames import HOP_SAMPLES
from earbit.heads.kinds.table import KINDS
from earbit.heads.metrics import text_of
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.nn.evaluation import evaluating
from earbit.progress import say
from earbit.runtime.session import Session
from earbit.superb.head_file import TrainedHead, head_path, load_head
from earbit.superb.imported import IMPORTED

MAX_LABEL_BYTES = 256
"""Maximum length of a label in a program file (docs/format.md)."""
TOLERANCE = 1e-4
"""Relative tolerance of scores on equal hidden states, where only the order of sums differs."""


@dataclass(frozen=True, slots=True)
class ModelHead:
    """A head that was trained on the exported model."""

    where: Path
    trained: TrainedHead


@dataclass(frozen=True, slots=True)
class HeadAgreement:
    """Outputs of program and PyTorch for the same audio."""

    kind: str
    label: str
    """Label or text, depending on the kind of output."""
    torch_label: str
    max_abs_error: float
    """Largest difference of the scores."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def head_of(
    model: AudioModel, where: Path, *, name: str, ancestors: Collection[str] = ()
) -> ModelHead:
    """Loads the head in a folder of `earbit superb` or `import`; name: of the model, for messages.

    ancestors: digests of the models that this one was quantized from.  Imported heads of these fit
    too, which is said.

    Raises ConfigError for a head of another model, FormatError for a damaged one.
    """
    trained = load_head(where)
    where, shape, encoder = head_path(where), trained.head.shape, model.config.encoder
    remedy = f"train one on this model: earbit superb {name} --task {trained.task.name} --out DIR"
    if trained.task.name in IMPORTED:
        remedy = "give the model that it was imported with, or one that was quantized from it"
    if (shape.n_states, shape.width) != (encoder.n_layers + 1, encoder.d_model):
        raise ConfigError(
            f"{where}: a head for {shape.n_states} hidden states x {shape.width}, {name} has "
            f"{encoder.n_layers + 1} x {encoder.d_model}; {remedy}"
        )
    if not trained.model_digest:
        raise ConfigError(f"{where}: its model is not recorded; {remedy}")
    if trained.task.name in IMPORTED and trained.model_digest in ancestors:
        say(f"{where}: trained on the model before its quantization, and taken as it is")
    elif trained.model_digest != weights_digest(model):
        raise ConfigError(
            f"{where}: trained on a model with other weights than {name} (another model, plan or "
            f"seed); {remedy}"
        )
    for label in trained.outputs:
        if not 0 < len(label.encode()) <= MAX_LABEL_BYTES or any(map(_is_control, label)):
            raise ConfigError(
                f"{where}: label {label[:60]!r}; a program holds labels of 1 to {MAX_LABEL_BYTES} "
                "bytes without control characters; rename it in the corpus and train again"
            )
    return ModelHead(where, trained)


def lower_head(program: Program, head: ModelHead) -> None:
    """Appends a head to a program whose outputs are the hidden states.

    Raises UnsupportedError for a head without a lowering.
    """
    module, trained = head.trained.head, head.trained
    if type(module) not in LOWERINGS:
        raise UnsupportedError(
            f"{head.where}: a {type(module).__name__}; heads that can be packed: "
            f"{', '.join(kind.__name__ for kind in LOWERINGS)}"
        )
    scores = LOWERINGS[type(module)](program, module)
    program.head = {
        "task": trained.task.name,
        "kind": trained.task.kind,
        "value": scores,
        "labels": [] if trained.task.kind == "vector" else list(trained.outputs),
    }
    if len(trained.slots) > 1:
        program.head["slots"] = [len(slot) for slot in trained.slots]
    if trained.min_log_odds is not None:
        program.head["min_log_odds"] = trained.min_log_odds


@torch.no_grad()
def verify_head(
    head: ModelHead, model: AudioModel, session: Session, waveform: np.ndarray
) -> HeadAgreement:
    """Compares scores, and label or text, on `waveform` (samples,).

    Raises RuntimeError, a bug in earbit, if the scores differ from those of the head on the hidden
    states of the program.  For the whole model, scores may differ by flipped bits.
    """
    kind, slots = head.trained.task.kind, head.trained.slots
    scores = session.scores(waveform)
    own = _torch_scores(head, torch.from_numpy(session.run(waveform, layers="all")))
    with evaluating(model):
        states = torch.cat(model(torch.from_numpy(waveform)[None]).states)
    expected = _torch_scores(head, states)
    if not np.allclose(scores, own, rtol=0, atol=TOLERANCE * (1 + float(np.abs(own).max()))):
        raise RuntimeError(f"{head.where}: the program's scores {scores} are not those of {own}")
    decode = KINDS[kind].decode
    setting = KINDS[kind].settings[0]
    found, wanted = (
        decode(torch.from_numpy(values), slots, HOP_SAMPLES, setting)
        for values in (scores, expected)
    )
    return HeadAgreement(
        kind=kind,
        label=_shown(kind, found),
        torch_label=_shown(kind, wanted),
        max_abs_error=float(np.abs(scores - expected).max()),
    )


def _shown(kind: str, prediction: Any) -> str:
    """Text for a prediction: its labels or text, or the size of a vector or of segments."""
    if kind == "sequence":
        return text_of(prediction)
    if kind == "vector":
        return f"a vector of {len(prediction)}"
    if kind == "segments":
        return f"{len(prediction)} segments"
    return prediction if isinstance(prediction, str) else ", ".join(prediction)


def _torch_scores(head: ModelHead, states_LTD: torch.Tensor) -> np.ndarray:
    lengths = torch.tensor([states_LTD.shape[1]])
    return array(head.trained.head(states_LTD[:, None], lengths)[0])


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or ord(character) == 0x7F
