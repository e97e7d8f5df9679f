import pytest

from earbit.errors import ConfigError
from earbit.heads.kinds.table import KINDS
from earbit.heads.metrics import METRICS
from earbit.heads.table import HEADS
from earbit.superb.ks import KS
from earbit.superb.tasks import TASKS, task_named


def test_a_row_has_the_name_of_its_task():
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_names_rows_that_exist(task):
    if task.kind == "match":
        assert not task.head
        assert not task.published.n_steps
    else:
        assert task.kind in KINDS
        assert task.head in HEADS
    assert task.metrics
    assert set(task.metrics) <= set(METRICS)


def test_there_are_the_ten_tasks_of_the_benchmark():
    assert set(TASKS) == {"pr", "asr", "ks", "qbe", "sid", "asv", "sd", "ic", "sf", "er"}


# Updates, batch x accumulation and gradient norm of s3prl's recipes.
@pytest.mark.parametrize(
    ("name", "n_steps", "batch_size", "d_hidden", "max_norm"),
    [
        ("pr", 100_000, 32, 256, 1),
        ("asr", 200_000, 32, 1_024, 1),
        ("ks", 200_000, 32, 256, 1),
        ("ic", 200_000, 32, 256, 1),
        ("sf", 200_000, 32, 1_024, 1),
        ("sid", 200_000, 32, 256, 1),
        ("asv", 200_000, 50, 512, 1_000),
        ("sd", 30_000, 32, 512, 1),
        ("er", 30_000, 32, 256, 1),
    ],
)
def test_the_published_protocol_is_that_of_the_benchmark(
    name, n_steps, batch_size, d_hidden, max_norm
):
    task = TASKS[name]
    assert (task.published.n_steps, task.published.batch_size) == (n_steps, batch_size)
    assert (task.published.d_hidden, task.max_gradient_norm) == (d_hidden, max_norm)
    assert task.published.lrs == pytest.approx([10.0**-i for i in range(1, 8)])


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("pr", {"per"}),
        ("asr", {"wer"}),
        ("ks", {"accuracy"}),
        ("qbe", {"mtwv"}),
        ("sid", {"accuracy"}),
        ("asv", {"eer"}),
        ("sd", {"der"}),
        ("ic", {"accuracy"}),
        ("sf", {"slot_type_f1", "slot_value_cer"}),
        ("er", {"accuracy"}),
    ],
)
def test_every_task_has_the_metrics_of_the_benchmark(name, metrics):
    assert metrics <= set(TASKS[name].metrics)
    assert TASKS[name].metrics[0] in metrics


def test_tasks_are_found_by_name_and_near_names_are_suggested():
    assert task_named("ks") is KS
    with pytest.raises(ConfigError, match="unknown task 'sk'"):
        task_named("sk")
