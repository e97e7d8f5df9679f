"""What goes wrong in a training: losses that are no numbers, full disks, signals, dead ranks."""

import dataclasses
import json
import resource
import signal

import pytest
import torch
from test_loop import CONFIG, MODEL, data, run  # noqa: F401

from earbit import peers
from earbit.config import to_dict
from earbit.errors import (
    ConfigError,
    DataError,
    Interrupted,
    Terminated,
    UnsupportedError,
    terminate,
)
from earbit.load import random_model
from earbit.nn.devices import device_named
from earbit.pretrain import steps
from earbit.pretrain.checkpoint import save_checkpoint, steps_done
from earbit.pretrain.faults import lines_until
from earbit.pretrain.interruption import delayed_interruption
from earbit.pretrain.loop import train
from earbit.pretrain.machine import Machine
from earbit.pretrain.objective import Objective, masked_units


def trained(data, out_dir, config, before_loss):  # noqa: F811
    """Trains with a function that is called before every training loss, with its number."""
    n_calls = 0

    def loss(model, *args):
        nonlocal n_calls
        n_calls += model.training
        factor = before_loss(n_calls) if model.training else None
        found = masked_units(0.0).loss(model, *args)
        return dataclasses.replace(found, total=found.total * (1.0 if factor is None else factor))

    model = random_model(MODEL, seed=1)
    objective = Objective(loss, needs_units=True)
    figures = train(model, data, config, out_dir, objective=objective, run=to_dict(config))
    return model, figures


def steps_skipped(out_dir):
    lines = (out_dir / "skipped.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_step_that_is_skipped_changes_no_weight_and_the_next_ones_count_anew(
    data,  # noqa: F811
    tmp_path,
):
    config = dataclasses.replace(CONFIG, max_skipped_steps=3)

    def spoil(number):
        # Steps 2, 3, 5 and 6: after each, the loss is computed again to see where it comes from.
        return float("nan") if number in (2, 4, 7, 9) else None

    model, figures = trained(data, tmp_path, config, spoil)
    weights = model.state_dict()
    assert steps_skipped(tmp_path) == [2, 3, 5, 6]
    assert all(bool(t.isfinite().all()) for t in weights.values())
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").open()]
    assert [line["step"] for line in logged if "skipped" in line] == [2, 3, 5, 6]
    assert figures["valid_loss"] > 0


def test_too_many_skipped_steps_in_a_row_end_the_run_and_survive_a_resume(
    data,  # noqa: F811
    tmp_path,
):
    config = dataclasses.replace(CONFIG, max_skipped_steps=3, checkpoint_every_steps=4)
    with pytest.raises(DataError, match="^step 5, batch .*the loss is nan.*; 3 steps in a row"):
        trained(data, tmp_path, config, lambda number: float("nan") if number > 2 else None)
    assert steps_done(tmp_path / "checkpoints") == 4
    # Steps 3 and 4 are remembered: one more is one too many.
    with pytest.raises(DataError, match="^step 5, .*; 3 steps in a row"):
        trained(data, tmp_path, config, lambda number: float("nan"))
    trained(data, tmp_path, config, lambda number: None)
    assert steps_skipped(tmp_path) == [3, 4]


def test_a_full_disk_keeps_the_last_checkpoint_and_leaves_no_part_of_the_next(
    data,  # noqa: F811
    tmp_path,
):
    whole, _ = run(data, tmp_path / "whole")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(number):
        if number == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))

    try:
        with pytest.raises(DataError, match="cannot be written.*; step-00000003 is kept: free"):
            trained(data, tmp_path / "full", CONFIG, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    folder = tmp_path / "full" / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["step-00000003"]
    resumed, _ = run(data, tmp_path / "full")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_sigterm_saves_the_current_step_and_says_so(data, tmp_path):  # noqa: F811
    def terminate(number):
        if number == 5:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Terminated, match="^training after step 5 of 8$"):
        trained(data, tmp_path, CONFIG, terminate)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert steps_done(tmp_path / "checkpoints") == 5


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGTERM, Terminated), (signal.SIGINT, Interrupted)]
)
def test_a_signal_during_the_last_checkpoint_ends_the_run(
    data,  # noqa: F811
    tmp_path,
    monkeypatch,
    number,
    end,
):
    def save(*args, **kwargs):
        save_checkpoint(*args, **kwargs)
        if steps_done(tmp_path / "checkpoints") == 8:
            signal.raise_signal(number)

    monkeypatch.setattr(steps, "save_checkpoint", save)
    with pytest.raises(end, match="^training after step 8 of 8$") as raised:
        run(data, tmp_path)
    assert raised.type is end


def test_a_signal_that_nobody_has_read_is_raised_at_the_end():
    def signalled(number):
        with delayed_interruption() as seen:
            assert not seen()
            signal.raise_signal(number)

    for number, end in ((signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)):
        with pytest.raises(end) as raised:
            signalled(number)
        assert raised.type is end


def test_sigterm_before_the_first_step_is_not_taken_for_ctrl_c(
    data,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    def progress(*args):
        raise Terminated

    monkeypatch.setattr(steps, "progress", progress)
    with pytest.raises(Terminated, match="^training after step 0 of 8$"):
        run(data, tmp_path)


@pytest.mark.parametrize("n", [1, 2])
def test_a_checkpoint_is_announced_unless_sigterm_may_come_from_a_dead_rank(n, monkeypatch, capfd):
    monkeypatch.setattr("earbit.pretrain.interruption.n_ranks", lambda: n)
    with delayed_interruption() as seen:
        signal.raise_signal(signal.SIGTERM)
        assert seen() == signal.SIGTERM
    assert ("writes a checkpoint" in capfd.readouterr().err) == (n == 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_in_one_line(data, tmp_path):  # noqa: F811
    for name in ("cuda", "cuda:3"):
        config = dataclasses.replace(CONFIG, machine=Machine(device=name))
        with pytest.raises(UnsupportedError, match=f"^device '{name}': .*; use --device cpu"):
            run(data, tmp_path, config)
    assert device_named("auto") == device_named("cpu") == torch.device("cpu")


def test_one_gpu_for_several_ranks_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UnsupportedError, match="^device 'cuda:0' for 2 ranks, .*--device cuda, "):
        device_named("cuda:0")


def test_log_lines_before_a_cut_one_are_kept(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes('{"step": 1, "ids": ["\u2028"]}\n{"step": 2, "ids": ["\u00e9'.encode()[:-1])
    assert lines_until(path, 5) == ['{"step": 1, "ids": ["\u2028"]}']


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", ""])
def test_unknown_devices_are_refused(name):
    with pytest.raises(ConfigError, match="allowed: auto, cpu, cuda, cuda:N"):
        Machine(device=name)


class Store(dict):
    """The part of a store of PyTorch that a watcher uses."""

    def set(self, key, value):
        self[key] = value.encode()

    def check(self, keys):
        return all(key in self for key in keys)

    def compare_set(self, key, expected, desired):
        if key not in self and expected == "":
            self.set(key, desired)
        return self[key]


@pytest.mark.parametrize(
    ("key", "end", "line"),
    [
        ("interrupted/1", Terminated, ""),
        (peers.FAILED, SystemExit, ""),
        (None, Terminated, "earbit: rank 0 of 2 was ended by SIGTERM; the other ranks end\n"),
    ],
)
def test_sigterm_outside_of_steps_is_told_once(monkeypatch, capsys, key, end, line):
    """By the command if all ranks have it, else by the rank that has failed or has it alone."""
    store = Store()

    def start(watcher, rank, n_ranks):
        watcher.store, watcher.lock = store, peers.threading.Lock()
        watcher.ended = peers.threading.Event()
        watcher.rank, watcher.n_ranks = rank, n_ranks

    monkeypatch.setattr(peers._Watcher, "__init__", start)
    monkeypatch.setattr(peers._Watcher, "run", lambda watcher: None)
    monkeypatch.setattr(peers._Watcher, "_is_dead", lambda watcher, i: False)
    monkeypatch.setattr(peers, "EVERY_S", 0.05)
    if key:
        store.set(key, "1")
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(end), peers.watched(0, 2):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == line
    assert store.check([peers.FAILED]) == (key != "interrupted/1")


def test_a_rank_on_another_machine_is_dead_when_it_says_nothing(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(peers.time, "monotonic", lambda: now)
    watcher = object.__new__(peers._Watcher)
    watcher.store, watcher.lock, watcher.seen = Store(), peers.threading.Lock(), {}
    watcher.rank, watcher.n_ranks = 0, 2
    watcher.who = {
        0: {"pid": 1, "host": "a", "machine": ["a"]},
        1: {"pid": 7, "host": "b", "machine": ["b"]},
    }
    for beat in range(100):
        watcher.store.set("alive/1", str(beat))
        now += peers.EVERY_S
        assert not watcher.is_any_failed()
    now += peers.DEAD_AFTER_S - 2
    assert not watcher.is_any_failed()
    now += 4
    assert watcher.is_any_failed()
    said = "earbit: rank 1 of 2: process 7 on b ended without a message (killed?); "
    assert capsys.readouterr().err == f"{said}the other ranks end\n"
    assert watcher.is_any_failed()
    assert capsys.readouterr().err == ""
