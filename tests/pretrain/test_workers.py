"""Worker processes make the same micro-batches, and their errors reach the training."""

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earbit.audio.clips import Clip, ClipTable, read_clip, reading_from
from earbit.audio.corpus import write_quarantine
from earbit.audio.manifest import Rejected
from earbit.audio.training_corpus import TrainingCorpus
from earbit.audio.workers import made_ahead
from earbit.errors import DataError
from earbit.pretrain.checkpoint import Position
from earbit.pretrain.data import MicroBatch, micro_batch, updates_of
from earbit.pretrain.machine import Machine
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.reading import kept_in_memory, n_workers_for, record_unreadable
from earbit.pretrain.train_config import TrainConfig
from earbit.units.labelled import TrainingData

OPTIMISER = OptimiserConfig(peak_lr=1e-3, n_steps=8, warmup_steps=2)
CONFIG = TrainConfig(optimiser=OPTIMISER, batch_s=4.0, crop_s=1.0)
SIZES = {f"c{i}": 16_000 + 700 * i for i in range(9)}


def data_of(read=None):
    waveforms = {
        name: np.random.default_rng(n).standard_normal(n, np.float32) for name, n in SIZES.items()
    }
    table = ClipTable(Clip(name, Path(name), n) for name, n in SIZES.items())
    return TrainingData(table, ClipTable([]), read or reading_from(waveforms), "digest")


def first_updates(data, n_workers, n=7):
    updates = updates_of(
        data, CONFIG, Position(0, 0, 0), n_micro=2, needs_units=False, n_workers=n_workers
    )
    with contextlib.closing(updates):
        return list(itertools.islice(updates, n))


def values(update):
    position, batches = update
    fields = [dataclasses.asdict(b) for b in batches]
    plain = [
        {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in one.items()}
        for one in fields
    ]
    return position, plain


@pytest.mark.parametrize("n_workers", [1, 3])
def test_micro_batches_are_the_same_to_the_last_bit(n_workers):
    alone = first_updates(data_of(), 0)
    torch.manual_seed(3)
    ahead = first_updates(data_of(), n_workers)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))  # global random state is left alone
    assert [values(u) for u in ahead] == [values(u) for u in alone]


def test_an_error_in_a_worker_is_the_same_error_here():
    def read(clip, start=0, n_samples=None):
        raise ValueError("a bug")

    def make(item):
        if item == 3:
            raise DataError("item 3: damaged")
        return item

    made = made_ahead(make, range(9), 2)
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="^item 3: damaged$"):
        next(made)
    with pytest.raises(ValueError, match="a bug"):
        first_updates(data_of(read), 1)


def test_a_worker_that_dies_is_one_line():
    def make(item):
        if item == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    with pytest.raises(DataError, match="ended unexpectedly .* train.machine.workers"):
        list(made_ahead(make, range(9), 1))


def test_a_worker_in_a_read_that_hangs_is_killed():
    def make(item):
        if item:
            time.sleep(60)
        return os.getpid()

    made = made_ahead(make, range(9), 1)
    pid = next(made)
    start_s = time.monotonic()
    made.close()
    assert time.monotonic() - start_s < 10
    assert not is_running(pid)


def test_signals_of_the_group_do_not_end_the_workers():
    def make(item):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        return torch.get_num_threads()

    assert list(made_ahead(make, range(3), 1)) == [1, 1, 1]


def test_workers_end_with_a_killed_parent(tmp_path):
    code = f"""
import os, itertools
from earbit.audio.workers import made_ahead

def make(item):
    return os.getpid(), bytes(1 << 20)  # more than a pipe holds

pids = {{pid for pid, _ in itertools.islice(made_ahead(make, itertools.count(), 2), 4)}}
print(*pids, flush=True)
made = made_ahead(make, itertools.count(), 2)
print(*{{pid for pid, _ in itertools.islice(made, 4)}}, flush=True)
open({str(tmp_path / "ready")!r}, "w").close()
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    pids = {int(pid) for pid in done.stdout.split()}
    assert len(pids) == 4, done.stderr
    end_s = time.monotonic() + 30
    while any(is_running(pid) for pid in pids) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert not [pid for pid in pids if is_running(pid)]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_small_corpus_is_read_once_and_kept():
    calls = []
    data = data_of()

    def read(clip, start=0, n_samples=None):
        calls.append(clip.id)
        return data.read(clip, start, n_samples)

    n_bytes = 4 * sum(SIZES.values())
    kept = kept_in_memory(data_of(read), Machine(keep_in_memory_gb=n_bytes / 1e9))
    assert [values(u) for u in first_updates(kept, 0)] == [
        values(u) for u in first_updates(data, 0)
    ]
    assert sorted(calls) == sorted(SIZES)
    assert n_workers_for(kept, Machine()) == 0
    for machine in (Machine(keep_in_memory_gb=0.999 * n_bytes / 1e9), Machine(workers=2)):
        assert kept_in_memory(data, machine) is data
    assert n_workers_for(data, Machine(workers=2)) == 2


def test_kept_clips_train_on_the_same_crops_of_a_file_that_is_damaged_at_its_end(tmp_path):
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
    sound[-1] = np.nan
    soundfile.write(tmp_path / "x.wav", sound, 16_000, subtype="FLOAT")
    clips = ClipTable([Clip("x", tmp_path / "x.wav", 16_000)])
    data = TrainingData(clips, ClipTable([]), read_clip, "digest")
    kept = kept_in_memory(data, Machine())
    assert kept is not data
    config = dataclasses.replace(CONFIG, crop_s=0.5)
    crops = [
        [micro_batch(d, config, [0], number, needs_units=False) for number in range(1, 5)]
        for d in (data, kept)
    ]
    assert [batch.ids for batch in crops[0]] == [("x",)] * 4
    for one, other in zip(*crops, strict=True):
        assert torch.equal(one.waveforms, other.waveforms)
    for read in (data.read, kept.read):
        with pytest.raises(DataError, match="sample 15999 .* is NaN"):
            read(clips[0], 8_000, 8_000)
        with pytest.raises(DataError, match="NaN"):
            read(clips[0])


def test_the_number_of_workers_leaves_a_core_to_each_rank(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    found = [n_workers_for(data_of(), Machine(), n_ranks) for n_ranks in (1, 2, 4, 8, 16)]
    assert found == [4, 3, 1, 0, 0]


def test_unreadable_clips_are_recorded_once_and_stay_when_the_run_resumes(tmp_path, capsys):
    clips = ClipTable(Clip(name, tmp_path / f"{name}.wav", 8_000) for name in "abc")

    def start(*rejected):
        corpus = TrainingCorpus("corpus", tmp_path, clips, clips, rejected, "0")
        write_quarantine(corpus, tmp_path)

    def batch(*unreadable):
        empty = torch.empty(0)
        return MicroBatch(1, (), empty, (), empty, None, unreadable)

    start(Rejected("old.wav", "before"), Rejected("repaired.wav", "before"))
    record_unreadable(tmp_path, clips, [batch()])
    record_unreadable(tmp_path, clips, [batch(("a", "a: damaged")), batch(("b", "b: gone"))])
    start(Rejected("old.wav", "again"))
    record_unreadable(tmp_path, clips, [batch(("a", "a: damaged"))])
    with (tmp_path / "quarantine.jsonl").open("ab") as file:
        file.write(b'{"path": "\xc3\n')  # cut within a character by a full disk
    record_unreadable(tmp_path, clips, [batch(("a", "again"))])
    lines = list(map(json.loads, (tmp_path / "quarantine.jsonl").read_bytes().splitlines()[:3]))
    assert lines == [
        {"path": "old.wav", "reason": "again"},
        {"id": "a", "path": str(tmp_path / "a.wav"), "reason": "a: damaged"},
        {"id": "b", "path": str(tmp_path / "b.wav"), "reason": "b: gone"},
    ]
    assert capsys.readouterr().err.count("damaged") == 1
