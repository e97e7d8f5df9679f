"""Faults of one rank of a training on two: it is killed, or its loss is not a number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from earbit.pretrain.faults import SKIPPED_NAME
from fault_runs import Place, Result, told
from torchrun import descendants, kill_all, log_of, start, wait_for_step

NAN_RECIPE = """
import dataclasses, os
from earbit.pretrain import verb
from earbit.pretrain.recipe import load_recipe

plain, n_calls = verb.masked_units, 0

def failing(weight):
    objective = plain(weight)
    def loss(model, *args):
        global n_calls
        n_calls += model.training
        found = objective.loss(model, *args)
        if model.training and n_calls == 3 and os.environ["RANK"] == "1":
            found = dataclasses.replace(found, total=found.total * float("nan"))
        return found
    return dataclasses.replace(objective, loss=loss)

verb.masked_units = failing

def recipe():
    return load_recipe("hubert-tiny")
"""


def dead_rank(place: Place, number: int) -> Result:
    """A rank is killed: the other one ends and says which one it was."""
    out = place.folder / f"dead-{number}"
    long = "train.optimiser.n_steps=5000"
    run = start(*place.command(out, long), n_ranks=2)
    is_there = wait_for_step(run, out, 3, None)
    ranks = {rank_of(pid): pid for pid in descendants(run.pid)}
    start_s = time.perf_counter()
    os.kill(ranks[str(number)], signal.SIGKILL)
    try:
        errors = run.communicate(timeout=120)[1]
    except subprocess.TimeoutExpired:
        kill_all(run)
        errors = ""
    seconds = time.perf_counter() - start_s
    lines = [line for line in told(errors) if f"rank {number} of 2" in line]
    return {
        "status": run.returncode,
        "said": lines,
        "seconds": round(seconds, 1),
        "checks": {
            "it is training": is_there,
            "all end within a minute": seconds < 60,
            "one line says which and why": len(lines) == 1 and "killed" in lines[0],
            "no other line of earbit": told(errors) == lines,
            "no process is left": not any(runs(pid) for pid in ranks.values()),
        },
    }


def dead_rank_0(place: Place) -> Result:
    return dead_rank(place, 0)


def dead_rank_1(place: Place) -> Result:
    return dead_rank(place, 1)


def nan_on_one_rank(place: Place) -> Result:
    """The loss of rank 1 is not a number in step 3: both ranks skip it and go on."""
    out, recipe = place.folder / "nan", place.folder / "recipe.py"
    recipe.write_text(NAN_RECIPE)
    run = start(*place.command(out, recipe=str(recipe)), n_ranks=2)
    errors = run.communicate()[1]
    skipped = [json.loads(line) for line in (out / SKIPPED_NAME).read_text().splitlines()]
    steps = [line["step"] for line in log_of(out) if "loss" not in line]
    lines = [line for line in told(errors) if "skipped" in line]
    return {
        "status": run.returncode,
        "said": lines,
        "skipped": skipped,
        "checks": {
            "the run ends as it should": run.returncode == 0,
            "step 3 alone is skipped": steps == [3],
            "its batch is written down once": [(x["step"], x["rank"]) for x in skipped] == [(3, 1)],
            "the clips are named": bool(skipped and skipped[0]["ids"]),
            "one line says so": len(lines) == 1,
        },
    }


def rank_of(pid: int) -> str | None:
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    found = dict(word.split(b"=", 1) for word in words if b"=" in word)
    return found[b"RANK"].decode() if b"RANK" in found else None


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
