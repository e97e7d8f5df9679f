"""One task on features that a test has made."""

from earbit.superb import runner
from earbit.superb.training import Training


def run_task(task, features, splits, out_dir, *, protocol=None, name="superb", seed=0, lm=None):
    """The score of a task by its published protocol, or by another."""
    protocol = protocol or task.published
    training = Training(task=task, protocol=protocol, features=features, splits=splits, seed=seed)
    return runner.run_task(training, out_dir, name, lm)[0]
