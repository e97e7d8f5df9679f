"""The teacher of a fine-tuning: a model with its head, from an earlier fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from earbit.errors import ConfigError
from earbit.heads.head import HeadShape
from earbit.heads.kinds.kind import Slots
from earbit.load import load_model
from earbit.model import AudioModel
from earbit.model_digest import weights_digest
from earbit.model_file import origin_of
from earbit.model_names import model_path, require_model
from earbit.near_names import near_names
from earbit.presets import PRESETS
from earbit.progress import say
from earbit.superb.head_file import TrainedHead, head_path, load_head
from earbit.superb.rejection import without_rejection
from earbit.superb.task import Task


@dataclass(frozen=True, slots=True)
class Teacher:
    """A fine-tuned model that teaches another one."""

    where: str
    model: AudioModel
    trained: TrainedHead

    def check(self, shape: HeadShape, slots: Slots) -> None:
        """Raises ConfigError unless the head has this shape and these outputs."""
        its = self.trained.head.shape
        if (shape, slots) != (its, self.trained.slots):
            raise ConfigError(
                f"--teacher {self.where}: its outputs ({its.n_outputs}), layers "
                f"({its.n_states - 1}) or widths ({its.width}, {its.d_hidden}) are not those of "
                f"model, labels and settings ({shape.n_outputs}, {shape.n_states - 1}, "
                f"{shape.width}, {shape.d_hidden}); give a fine-tuning of such a model on this "
                "corpus"
            )

    def say_other_corpus(self, digest: str) -> None:
        """Prints that it was trained on another corpus, or other splits, than that of a digest."""
        if origin_of(model_path(self.where)).get("corpus") != digest:
            say(
                f"--teacher {self.where}: trained on another corpus or other splits; scores are "
                "too good if it was trained on test clips of this run"
            )


def open_teacher(where: str, task: Task) -> Teacher:
    """Model and head of a fine-tuning; raises ConfigError if they do not belong together."""
    if where not in PRESETS and not model_path(where).is_file():
        of_task = Path(where) / task.name
        if model_path(of_task).is_file():
            raise ConfigError(f"--teacher {where}: no model there; give {of_task}")
        near = "" if Path(where).is_dir() else near_names(Path(where))
        raise ConfigError(f"--teacher {where}: no model there{near}; {_made_by(task)}")
    require_model(where)
    model, head = load_model(where), head_path(where)
    trained = without_rejection(load_head(where)) if head.is_file() else None
    if (
        trained is None
        or trained.task.name != task.name
        or trained.model_digest != weights_digest(model)
    ):
        raise ConfigError(f"--teacher {where}: no fine-tuning on {task.name}; {_made_by(task)}")
    return Teacher(where, model, trained)


def _made_by(task: Task) -> str:
    return f"make one with `earbit superb MODEL --task {task.name} --finetune --out DIR`"
