"""The engine of a study, with stages that take no time."""

import json
import multiprocessing
import os
import signal
import threading
import time

import pytest
from fake_stages import function_of

from earbit.errors import Terminated, terminate
from earbit.study.job import run_job
from earbit.study.schedule import run_graph, urgencies
from earbit.study.step import RESULT_NAME, Step, places_of, read_result
from earbit.study.workers import Workers


class Here:
    """Runs jobs in this process, in the order in which they begin."""

    def __init__(self, n_jobs=2):
        self.n_jobs, self.jobs, self.most = n_jobs, [], 0
        self.order = []

    @property
    def running(self):
        return self.jobs

    def start(self, job):
        self.jobs.append(job)
        self.most = max(self.most, len(self.jobs))
        self.order.append(({j.step.id for j in self.jobs}, job.step.id))

    def events(self, timeout_s):
        job = self.jobs.pop(0)
        yield job, run_job(job)

    def interrupt(self, number):
        self.jobs.clear()


class Silent:
    def began(self, step): ...

    def moved(self, step, progress): ...

    def ended(self, step, outcome): ...

    def tick(self): ...


def run(steps, out, runner=None):
    found = {}
    runner = runner or Here()
    run_graph(steps, places_of(steps, out), function_of, runner, Silent(), found)
    return found


def chain(value=1, top=0):
    """Two branches on one root."""
    return [
        Step(stage="add", settings={"value": value}),
        Step(stage="add", encoder="a", needs={"root": "add"}),
        Step(stage="add", encoder="a", plan="x", needs={"model": "add a"}, settings={"value": top}),
        Step(stage="add", encoder="b", needs={"root": "add"}),
    ]


def runs(steps, out):
    places = places_of(steps, out)
    return {s.id: int((places[s.id].folder / "runs.txt").read_text()) for s in steps}


def test_steps_run_after_what_they_need_and_get_its_results(tmp_path):
    found = run(chain(value=2, top=5), tmp_path)
    assert {name: one.result["value"] for name, one in found.items()} == {
        "add": 2,
        "add a": 2,
        "add a x": 7,
        "add b": 2,
    }


def test_a_second_run_runs_nothing_and_has_the_same_results(tmp_path):
    first, second = run(chain(), tmp_path), run(chain(), tmp_path)
    assert {n: o.result for n, o in first.items()} == {n: o.result for n, o in second.items()}
    assert all(one.is_old for one in second.values())
    assert set(runs(chain(), tmp_path).values()) == {1}


def test_a_changed_setting_runs_again_what_follows_from_it_alone(tmp_path):
    run(chain(), tmp_path)
    found = run(chain(top=1), tmp_path)
    assert {name for name, one in found.items() if not one.is_old} == {"add a x"}
    found = run(chain(value=3, top=1), tmp_path)
    assert not any(one.is_old for one in found.values())
    # The results of other settings are still there.
    assert all(one.is_old for one in run(chain(), tmp_path).values())


def test_a_result_that_lacks_a_part_is_made_again_in_its_folder(tmp_path):
    one = Step(stage="add", parts=("ks",))
    more = Step(stage="add", parts=("ks", "sid"))
    assert places_of([one], tmp_path)["add"] == places_of([more], tmp_path)["add"]
    run([one], tmp_path)
    assert not run([more], tmp_path)["add"].is_old
    assert run([one], tmp_path)["add"].is_old


def test_a_damaged_result_is_made_again(tmp_path):
    (step,) = steps = [Step(stage="add")]
    run(steps, tmp_path)
    place = places_of(steps, tmp_path)["add"]
    (place.folder / RESULT_NAME).write_text('{"key"')
    assert read_result(step, place) is None
    assert run(steps, tmp_path)["add"].state == "done"


@pytest.mark.parametrize(
    ("stage", "error", "is_bug"),
    [
        ("user_error", "the corpus is silent; record it again", False),
        ("bug", "RuntimeError: a bug of two lines (traceback: ", True),
    ],
)
def test_a_failing_branch_leaves_the_others(tmp_path, stage, error, is_bug):
    steps = [
        Step(stage="add"),
        Step(stage=stage, encoder="a", needs={"root": "add"}),
        Step(stage="add", encoder="a", plan="x", needs={"model": f"{stage} a"}),
        Step(stage="add", encoder="a", plan="y", needs={"model": "add a x"}),
        Step(stage="add", encoder="b", needs={"root": "add"}),
    ]
    found = run(steps, tmp_path)
    failed = found[f"{stage} a"]
    assert (failed.state, failed.is_bug) == ("failed", is_bug)
    assert failed.error.startswith(error)
    assert found["add b"].state == "done"
    for name in ("add a x", "add a y"):
        assert (found[name].state, found[name].error) == (
            "not run",
            f"needs {stage} a, which failed",
        )
    # Nothing of it counts as a result.
    assert not found[f"{stage} a"].result
    assert run(steps, tmp_path)["add b"].is_old


def test_the_traceback_of_a_bug_is_in_its_folder(tmp_path):
    steps = [Step(stage="bug")]
    run(steps, tmp_path)
    text = (places_of(steps, tmp_path)["bug"].folder / "error.txt").read_text()
    assert "fake_stages.py" in text


def test_a_full_disk_ends_the_study(tmp_path):
    steps = [Step(stage="disk_full", estimate_s=9), Step(stage="add", encoder="a")]
    found = run(steps, tmp_path, Here(n_jobs=1))
    assert "No space left on device" in found["disk_full"].error
    assert not found["disk_full"].is_bug
    assert "add a" not in found


def test_steps_that_measure_times_run_last_and_alone(tmp_path):
    runner = Here(n_jobs=3)
    steps = [Step(stage="add", encoder="t", is_alone=True, estimate_s=99)]
    steps += [Step(stage="add", encoder=name) for name in "abcd"]
    run(steps, tmp_path, runner)
    assert runner.most == 3
    assert runner.order[-1] == ({"add t"}, "add t")


def test_the_longest_way_to_the_end_begins_first(tmp_path):
    steps = [
        Step(stage="add", encoder="short", estimate_s=5),
        Step(stage="add", encoder="long", estimate_s=1),
        Step(stage="add", encoder="long", plan="x", needs={"m": "add long"}, estimate_s=9),
    ]
    assert urgencies(steps) == {"add short": 5, "add long": 10, "add long x": 9}
    runner = Here(n_jobs=1)
    run(steps, tmp_path, runner)
    assert [name for _, name in runner.order] == ["add long", "add long x", "add short"]


def test_processes_run_steps_and_the_end_of_one_is_the_failure_of_its_step_alone(tmp_path):
    workers = Workers(2, threads=1)
    steps = [
        Step(stage="killed", encoder="a", estimate_s=9),
        *chain(value=4),
    ]
    try:
        found = run(steps, tmp_path, workers)
    finally:
        workers.close()
    assert found["killed a"].state == "failed"
    assert "ended by SIGKILL" in found["killed a"].error
    assert found["add a x"].result == {"value": 4}
    printed = places_of(steps, tmp_path)["add"].folder / "output.txt"
    assert printed.exists()


def test_an_idle_process_that_was_killed_is_replaced(tmp_path):
    workers = Workers(1, threads=1)
    try:
        run([Step(stage="add")], tmp_path, workers)
        (idle,) = multiprocessing.active_children()
        os.kill(idle.pid, signal.SIGKILL)
        idle.join()
        steps = [Step(stage="add", encoder="a", settings={"value": 3})]
        assert run(steps, tmp_path, workers)["add a"].result == {"value": 3}
    finally:
        workers.close()


def test_a_process_that_ends_before_it_has_its_job_is_the_failure_of_this_job(
    tmp_path, monkeypatch
):
    workers = Workers(1, threads=1)
    new = workers._new

    def ended():
        worker = new()
        worker.process.kill()
        worker.process.join()
        return worker

    monkeypatch.setattr(workers, "_new", ended)
    try:
        found = run([Step(stage="add")], tmp_path, workers)
    finally:
        workers.close()
    assert "ended by SIGKILL" in found["add"].error


def test_a_terminated_study_ends_its_processes_and_goes_on_where_it_was(tmp_path):
    steps = [Step(stage="hangs_once", inputs={"began": str(tmp_path / "began")})]
    workers = Workers(1, threads=1)

    def end_when_begun():
        while not (tmp_path / "began").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, terminate)
    threading.Thread(target=end_when_begun).start()
    try:
        with pytest.raises(Terminated):
            run(steps, tmp_path / "out", workers)
        assert not workers.running
    finally:
        signal.signal(signal.SIGTERM, before)
    workers = Workers(1, threads=1)
    try:
        assert run(steps, tmp_path / "out", workers)["hangs_once"].result == {"value": 1}
    finally:
        workers.close()


def test_the_record_of_a_step_says_what_it_is_of(tmp_path):
    steps = [Step(stage="add", encoder="a", plan="w1a1", seed=3, settings={"value": 1})]
    run(steps, tmp_path)
    (path,) = tmp_path.rglob(RESULT_NAME)
    assert path.parent.parent == tmp_path / "a" / "w1a1" / "seed3"
    assert json.loads(path.read_text())["step"] == "add a w1a1 seed 3"
