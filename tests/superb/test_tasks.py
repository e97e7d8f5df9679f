import pytest

from earbit.errors import ConfigError
from earbit.superb.heads import HEADS
from earbit.superb.kinds.table import KINDS
from earbit.superb.ks import KS
from earbit.superb.metrics import METRICS
from earbit.superb.tasks import TASKS, task_named


def test_a_row_has_the_name_of_its_task():
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_names_rows_that_exist(task):
    assert task.kind in KINDS
    assert task.head in HEADS
    assert task.metrics
    assert set(task.metrics) <= set(METRICS)


def test_tasks_are_found_by_name_and_near_names_are_suggested():
    assert task_named("ks") is KS
    with pytest.raises(ConfigError, match="unknown task 'sk'"):
        task_named("sk")
