"""What a model is worth: small heads trained on its frozen features (SUPERB, arXiv 2105.01051)."""

from earbit.superb.features import (
    Features,
    FrozenFeatures,
    cached_features,
    model_features,
)
from earbit.superb.head_file import TrainedHead, load_head, predict, score_with
from earbit.superb.runner import Score, run_task
from earbit.superb.task import Example, Splits, Task
from earbit.superb.tasks import TASKS, task_named

__all__ = [
    "TASKS",
    "Example",
    "Features",
    "FrozenFeatures",
    "Score",
    "Splits",
    "Task",
    "TrainedHead",
    "cached_features",
    "load_head",
    "model_features",
    "predict",
    "run_task",
    "score_with",
    "task_named",
]
