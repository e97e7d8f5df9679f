"""Every task takes an update by the published protocol: full widths, batches and crops."""

from dataclasses import replace

import numpy as np
import pytest
from one_task import run_task

from earbit.audio.splits import NAMES, Splits
from earbit.heads.example import Example
from earbit.heads.kinds.vector import drawn_trials
from earbit.superb.head_file import load_head
from earbit.superb.tasks import TASKS
from earbit.superb.work import Settings
from earbit.upstream.features import FrozenFeatures

N_STATES, WIDTH = 2, 4
WIDE = {"asr", "sf", "asv"}
"""Heads of 5 to 50 million parameters, whose update takes seconds."""
TARGETS = {
    "class": ("a", "b"),
    "sequence": (("A", "B"), ("B", "A")),
    "vector": ("anna", "ben"),
    "segments": (((0.0, 0.1, "x"), (0.1, 0.2, "y")), ((0.0, 0.2, "x"), (0.1, 0.3, "y"))),
}


def examples_of(kind):
    """Four clips for each part, two of each target."""
    parts = {}
    for part in NAMES:
        targets = TARGETS[kind] * 2
        parts[part] = tuple(
            Example(id=f"{part}-{i}", target=target, speaker=f"{part}-{i % 2}")
            for i, target in enumerate(targets)
        )
    if kind != "vector":
        return Splits(**parts)
    trials = {part: tuple(drawn_trials(parts[part])) for part in ("valid", "test")}
    return Splits(**parts, trials=trials)


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, id=name, marks=[pytest.mark.slow] if name in WIDE else [])
        for name, task in TASKS.items()
        if task.head
    ],
)
def test_an_update_of_the_published_protocol_is_scored(task, tmp_path):
    splits = examples_of(task.kind)
    random = np.random.default_rng(0)
    clips = {
        e.id: random.normal(size=(N_STATES, 16, WIDTH)).astype(np.float32)
        for part in NAMES
        for e in getattr(splits, part)
    }
    features = FrozenFeatures(
        clips=clips, n_states=N_STATES, width=WIDTH, model_digest="m", corpus_digest="c"
    )
    settings = Settings(protocol="superb", n_steps=1, lrs=(1e-3,))
    name, protocol = settings.of(task, hours=0.1)
    assert protocol == replace(task.published, n_steps=1, lrs=(1e-3,), n_checks=1)
    written = run_task(task, features, splits, tmp_path, protocol=protocol, name=name, seed=0)
    assert written["protocol_name"] == "superb"
    assert written["protocol"]["batch_size"] == task.published.batch_size
    assert [(point["step"], point["n_skipped"]) for point in written["grid"]] == [(1, 0)]
    assert load_head(tmp_path).head.shape.d_hidden == task.published.d_hidden
    assert set(written["metrics"]) == set(task.metrics)
