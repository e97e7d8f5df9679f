"""The log of a training: speed apart from results, validation on the way, TensorBoard if asked."""

import dataclasses
import json
import resource
import sys

import pytest
from safetensors.torch import load_file
from test_loop import CONFIG, MODEL, data, logged  # noqa: F401

from earbit.config import to_dict
from earbit.errors import DataError, UnsupportedError
from earbit.load import random_model
from earbit.pretrain.best import best_figures, keep_best
from earbit.pretrain.faults import lines_until
from earbit.pretrain.loop import train
from earbit.pretrain.meter import MACHINE, Meter
from earbit.pretrain.objective import masked_units
from earbit.pretrain.run_log import opened_log, scalars


def run(data, folder, **changes):  # noqa: F811
    config = dataclasses.replace(CONFIG, **changes)
    model = random_model(MODEL, seed=1)
    figures = train(model, data, config, folder, objective=masked_units(0.0), run=to_dict(config))
    return model, figures


def test_validation_on_the_way_is_logged_and_changes_nothing_that_is_learned(data, tmp_path):  # noqa: F811
    often, figures = run(data, tmp_path / "often", validate_every_steps=2, log_every_steps=4)
    rarely, other = run(data, tmp_path / "rarely", log_every_steps=4)
    assert figures == other
    for name, tensor in often.state_dict().items():
        assert tensor.equal(rarely.state_dict()[name]), name
    lines = logged(tmp_path / "often")
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert all("valid_loss" in line for line in lines)
    assert {k: v for k, v in lines[-1].items() if k.startswith("valid_")} == figures


def test_the_checkpoint_with_the_lowest_validation_loss_is_kept_beside_the_newest(
    data,  # noqa: F811
    tmp_path,
):
    # A rate far too high after the first steps: the best model is not the last.
    optimiser = dataclasses.replace(CONFIG.optimiser, peak_lr=1.0, warmup_steps=8)
    run(data, tmp_path, optimiser=optimiser, validate_every_steps=1, keep_checkpoints=1)
    losses = {line["step"]: line["valid_loss"] for line in logged(tmp_path)}
    best = min(losses, key=losses.get)
    assert best < 8
    kept = best_figures(tmp_path / "checkpoints")
    assert (kept["step"], kept["valid_loss"]) == (best, losses[best])
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best", "step-00000008"]
    assert load_file(tmp_path / "checkpoints" / "best" / "model.safetensors")


def test_a_run_killed_before_the_mark_of_its_best_step_marks_it_when_it_resumes(
    data,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    changes = {"validate_every_steps": 2, "keep_checkpoints": 1, "checkpoint_every_steps": 100}
    run(data, tmp_path / "whole", **changes)

    def killed(*args):
        raise SystemExit(137)

    monkeypatch.setattr("earbit.pretrain.best.keep_best", killed)
    with pytest.raises(SystemExit):
        run(data, tmp_path / "cut", **changes)
    assert best_figures(tmp_path / "cut" / "checkpoints") is None
    marked = []
    monkeypatch.setattr(
        "earbit.pretrain.best.keep_best",
        lambda *args: (marked.append(args[1]), keep_best(*args)),
    )
    run(data, tmp_path / "cut", **changes)
    assert marked[0] == 2
    whole, cut = (best_figures(tmp_path / name / "checkpoints") for name in ("whole", "cut"))
    assert whole == cut


def test_the_speed_of_the_machine_has_a_key_of_its_own(data, tmp_path):  # noqa: F811
    run(data, tmp_path, log_every_steps=4)
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert {"audio_s_per_s", "wait_share", "memory_gb"} <= line[MACHINE].keys()
    assert {"unmasked_accuracy", "commonest_unit", "predicted_units"} <= line.keys()
    assert 1 <= line["predicted_units"] <= MODEL.n_units
    counts = data.labels.histogram
    assert line["commonest_unit"] == pytest.approx(counts.max() / counts.sum())


def test_the_share_of_waiting_counts_the_time_until_an_update_is_there(monkeypatch):
    now = 0.0

    def slow():
        nonlocal now
        for _ in range(3):
            now += 2.0  # the data
            yield None

    monkeypatch.setattr("earbit.pretrain.meter.time.perf_counter", lambda: now)
    meter = Meter(n_ranks=2)
    for _ in meter.waiting(slow()):
        now += 3.0  # the step
        meter.add(10.0)
    values = meter.read()
    assert values["wait_share"] == pytest.approx(6 / 15)
    assert values["audio_s_per_s"] == pytest.approx(2 * 30 / 15)


def test_a_full_disk_is_one_error_and_whole_lines_are_kept(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_up():
        with opened_log(tmp_path, 0) as write:
            write(1, {"loss": 3.0})
            size = (tmp_path / "log.jsonl").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, limits[1]))
            write(2, {"loss": 2.5})

    try:
        with pytest.raises(DataError, match="cannot be written.*; free some space and start"):
            fill_up()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert lines_until(tmp_path / "log.jsonl", 9) == ['{"step": 1, "loss": 3.0}']


def test_tags_of_tensorboard_are_grouped():
    values = {"loss": 1, "valid_loss": 2, "machine": {"memory_gb": 3}}
    assert scalars(values) == {"train/loss": 1.0, "valid/loss": 2.0, "machine/memory_gb": 3.0}


def test_tensorboard_has_the_scalars_of_the_log(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with opened_log(tmp_path, 0, tensorboard=True) as write:
        write(1, {"loss": 3.0})
        write(2, {"loss": 2.5, "valid_loss": 2.25})
    with opened_log(tmp_path, 1, tensorboard=True) as write:  # resumed after step 1
        write(2, {"loss": 2.0})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(1, 3.0), (2, 2.0)]
    assert [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").open()] == [3.0, 2.0]


def test_without_tensorboard_the_command_that_installs_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with (
        pytest.raises(
            UnsupportedError,
            match="needs tensorboard of the extra `tensorboard`; install it with: .*pip install",
        ),
        opened_log(tmp_path, 0, tensorboard=True),
    ):
        pass
    assert not any(tmp_path.iterdir())
