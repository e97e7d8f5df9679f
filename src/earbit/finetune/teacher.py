"""The teacher of a fine-tuning: a model with its head, from an earlier fine-tuning."""

from __future__ import annotations

from earbit.errors import ConfigError
from earbit.heads.head import HeadShape
from earbit.heads.kinds.kind import Slots
from earbit.load import load_model
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_file import read_model_file
from earbit.model_names import model_path, require_model
from earbit.progress import say
from earbit.superb.head_file import TrainedHead, load_head
from earbit.superb.rejection import without_rejection
from earbit.superb.task import Task


def open_teacher(where: str, task: Task) -> tuple[AudioModel, TrainedHead]:
    """Model and head of a fine-tuning; raises ConfigError if they do not belong together."""
    require_model(where)
    model, trained = load_model(where), without_rejection(load_head(where))
    if trained.task.name != task.name or trained.model_digest != weights_digest(model):
        raise ConfigError(
            f"--teacher {where}: no fine-tuning on {task.name}; make one with `earbit superb MODEL "
            f"--task {task.name} --finetune --out DIR`"
        )
    return model, trained


def check_teacher(
    where: str, trained: TrainedHead, shape: HeadShape, slots: Slots, corpus_digest: str
) -> None:
    """Raises ConfigError for a teacher whose head does not fit a run.

    shape, slots: of the head of the run.  Prints that the teacher was trained on another corpus or
    other splits.
    """
    its = trained.head.shape
    if (shape, slots) != (its, trained.slots):
        raise ConfigError(
            f"--teacher {where}: its outputs ({its.n_outputs}), layers ({its.n_states - 1}) or "
            f"widths ({its.width}, {its.d_hidden}) are not those of model, labels and settings "
            f"({shape.n_outputs}, {shape.n_states - 1}, {shape.width}, {shape.d_hidden}); give a "
            "fine-tuning of such a model on this corpus"
        )
    if read_model_file(model_path(where)).origin.get("corpus") != corpus_digest:
        say(
            f"--teacher {where}: trained on another corpus or other splits; scores are too good "
            "if it was trained on test clips of this run"
        )
