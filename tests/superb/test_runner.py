import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import one_task
import pytest

from earbit.audio.splits import Splits
from earbit.errors import ConfigError, DataError
from earbit.heads.kinds.table import KINDS
from earbit.heads.metrics import METRICS, Metric
from earbit.superb import runner, training
from earbit.superb.ks import KS
from earbit.superb.tasks import TASKS
from earbit.superb.training import train_head

SETTINGS = {"n_steps": 40, "batch_size": 12, "seed": 0}


def run_task(task, features, splits, out_dir, *, seed=0, **settings):
    protocol = replace(task.published, **settings)
    return one_task.run_task(task, features, splits, out_dir, protocol=protocol, seed=seed)


def scripted(value, higher_is_better):
    """A metric of what it is given: (predictions, references) -> number."""
    return Metric(
        rows=lambda p, r: np.array([(value(p, r), 1)] + [(0, 0)] * (len(r) - 1), float),
        value=lambda blocks: float(np.concatenate(blocks)[:, 0].sum()),
        higher_is_better=higher_is_better,
    )


@pytest.fixture
def seen(monkeypatch):
    """Learning rates that were trained; training is killed at `seen.stop_at`."""

    class Seen(list):
        stop_at = None

    lrs = Seen()

    def train(training, lr, advance, checkpoints):
        if lr == lrs.stop_at:
            raise KeyboardInterrupt
        lrs.append(lr)
        return train_head(training, lr, advance, checkpoints)

    monkeypatch.setattr(runner, "train_head", train)
    return lrs


@pytest.fixture
def valid_values(monkeypatch):
    """Heads that are trained, with validation values from a table."""

    def give(values):
        def train(training, lr, advance, checkpoints):
            trained = train_head(training, lr, advance, checkpoints)
            return replace(trained, point=replace(trained.point, value=values[lr]))

        monkeypatch.setattr(runner, "train_head", train)

    return give


def test_a_separable_problem_scores_one_and_the_result_says_how(toy, tmp_path):
    splits = replace(toy.splits(), summary={"drawn_by": "hand"})
    score = run_task(KS, toy.separable(splits), splits, tmp_path, lrs=(1e-2, 1e-4), **SETTINGS)
    written = json.loads(json.dumps(score))
    assert written["value"] == 1.0
    assert (written["n_train"], written["n_valid"], written["n_test"]) == (24, 12, 15)
    assert written["metric"] == "accuracy"
    assert written["outputs"] == ["down", "left", "up"]
    assert [point["lr"] for point in written["grid"]] == [1e-2, 1e-4]
    assert (written["model_digest"], written["corpus_digest"]) == ("m", "c")
    assert written["splits"] == {"drawn_by": "hand"}
    assert sum(written["layer_weights"]) == pytest.approx(1)


def test_constant_features_score_chance(toy, tmp_path):
    splits = toy.splits()
    score = run_task(KS, toy.constant(splits), splits, tmp_path, lrs=(1e-2,), **SETTINGS)
    assert score["value"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({1e-1: 0.2, 1e-2: 0.8, 1e-3: 0.5}, 1e-2),
        ({1e-1: 0.2, 1e-2: 0.8, 1e-3: 0.8}, 1e-2),
        ({1e-1: float("nan"), 1e-2: 0.1, 1e-3: 0.05}, 1e-2),
    ],
)
def test_the_learning_rate_is_chosen_on_the_validation_clips(
    toy, tmp_path, valid_values, values, best
):
    splits = toy.splits()
    valid_values(values)
    score = run_task(KS, toy.separable(splits), splits, tmp_path, lrs=tuple(values), **SETTINGS)
    assert score["lr"] == best
    assert score["valid_value"] == values[best]
    alone = run_task(KS, toy.separable(splits), splits, tmp_path / "1", lrs=(best,), **SETTINGS)
    assert score["value"] == alone["value"]
    assert score["layer_weights"] == alone["layer_weights"]


def test_where_less_is_better_the_least_wins(toy, tmp_path, valid_values, monkeypatch):
    splits = toy.splits()
    valid_values({1e-1: 0.2, 1e-2: 0.1, 1e-3: 0.5})
    monkeypatch.setitem(METRICS, "miss", scripted(lambda p, r: 0.0, False))
    task = replace(KS, metrics=("miss",))
    score = run_task(
        task, toy.separable(splits), splits, tmp_path, lrs=(1e-1, 1e-2, 1e-3), **SETTINGS
    )
    assert score["lr"] == 1e-2
    assert score["higher_is_better"] is False


def test_the_test_clips_are_scored_when_every_choice_is_made(toy, tmp_path, monkeypatch):
    splits = toy.splits()
    scored = []

    def score(predictions, references):
        scored.append(len(references) == len(splits.test))
        return sum(p == r for p, r in zip(predictions, references, strict=True))

    monkeypatch.setitem(METRICS, "noted", scripted(score, True))
    task = replace(KS, metrics=("noted",))
    run_task(task, toy.separable(splits), splits, tmp_path, lrs=(1e-2, 1e-3), **SETTINGS)
    first = scored.index(True)
    assert first > 2
    assert all(scored[first:])


def test_a_rerun_trains_nothing_and_gives_the_same_score(toy, tmp_path, seen):
    splits = toy.splits()
    features = toy.separable(splits)
    score = run_task(KS, features, splits, tmp_path, lrs=(1e-2, 1e-3), **SETTINGS)
    assert run_task(KS, features, splits, tmp_path, lrs=(1e-2, 1e-3), **SETTINGS) == score
    assert seen == [1e-2, 1e-3]


def test_a_killed_sweep_goes_on_where_it_was_and_ends_as_if_it_had_not_been(toy, tmp_path, seen):
    splits, lrs = toy.splits(), (1e-2, 1e-3, 1e-4)
    features = toy.separable(splits)
    seen.stop_at = 1e-4
    with pytest.raises(KeyboardInterrupt):
        run_task(KS, features, splits, tmp_path / "a", lrs=lrs, **SETTINGS)
    seen.stop_at = None
    score = run_task(KS, features, splits, tmp_path / "a", lrs=lrs, **SETTINGS)
    assert seen == [1e-2, 1e-3, 1e-4]
    assert run_task(KS, features, splits, tmp_path / "b", lrs=lrs, **SETTINGS) == score
    heads = [(tmp_path / name / "head.safetensors").read_bytes() for name in "ab"]
    assert heads[0] == heads[1]


def test_a_head_that_is_killed_in_training_resumes_and_leaves_no_checkpoint(
    toy, tmp_path, monkeypatch
):
    splits = toy.splits()
    features = toy.separable(splits)
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 0.0)
    kind, n_losses = KINDS[KS.kind], []

    def loss(*arguments):
        n_losses.append(1)
        if len(n_losses) == 30:
            raise KeyboardInterrupt
        return kind.loss(*arguments)

    monkeypatch.setitem(KINDS, KS.kind, replace(kind, loss=loss))
    with pytest.raises(KeyboardInterrupt):
        run_task(KS, features, splits, tmp_path / "a", lrs=(1e-2,), **SETTINGS)
    score = run_task(KS, features, splits, tmp_path / "a", lrs=(1e-2,), **SETTINGS)
    assert len(n_losses) == SETTINGS["n_steps"] + 1
    assert [path.suffix for path in (tmp_path / "a" / "sweep").iterdir()] == [".safetensors"]
    assert run_task(KS, features, splits, tmp_path / "b", lrs=(1e-2,), **SETTINGS) == score
    heads = [(tmp_path / name / "head.safetensors").read_bytes() for name in "ab"]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("changed", ["n_steps", "batch_size", "seed", "model", "clips", "task"])
def test_a_run_of_another_kind_starts_anew(toy, tmp_path, changed, seen):
    splits, task = toy.splits(), KS
    features, settings = toy.separable(splits), dict(SETTINGS)
    run_task(task, features, splits, tmp_path, lrs=(1e-2,), **settings)
    match changed:
        case "model":
            features = replace(features, model_digest="another")
        case "clips":
            splits = replace(splits, train=splits.train[:-1])
        case "task":
            task = replace(task, max_gradient_norm=0.5)
        case _:
            settings[changed] += 1
    run_task(task, features, splits, tmp_path, lrs=(1e-2,), **settings)
    assert seen == [1e-2, 1e-2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lrs": (0.0,)}, "lr=0.0"),
        ({"lrs": (float("nan"),)}, "lr=nan"),
        ({"lrs": (1e-2, 1e-2)}, "each once"),
        ({"lrs": ()}, "at least one"),
        ({"n_steps": 0}, "n_steps=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"n_steps": 10**20}, "n_steps=10+; allowed: 1 <= n_steps < 2147483648"),
        ({"batch_size": 10**20}, "batch_size=10+; allowed"),
    ],
)
def test_impossible_settings_are_errors(toy, tmp_path, settings, message):
    splits = toy.splits()
    with pytest.raises(ConfigError, match=message):
        run_task(KS, toy.separable(splits), splits, tmp_path, **settings)


def test_an_empty_split_and_a_clip_without_features_are_errors(toy, tmp_path):
    splits = toy.splits()
    features = toy.separable(splits)
    with pytest.raises(DataError, match="no valid clips"):
        run_task(KS, features, replace(splits, valid=()), tmp_path)
    few = replace(splits, test=toy.examples("other", 1))
    with pytest.raises(DataError, match="3 test clips have no features, first 'other-down-0'"):
        run_task(KS, features, few, tmp_path)


def test_training_clips_too_short_for_their_text_are_counted(toy, tmp_path, capsys):
    pytest.importorskip("jiwer")
    splits = toy.splits()  # ids are not words: targets are spelt, 2 to 5 symbols in 2 to 11 frames
    spelt = {
        name: tuple(replace(e, target=tuple(e.target)) for e in getattr(splits, name))
        for name in ("train", "valid", "test")
    }
    task = replace(KS, kind="sequence", head="frame_linear", metrics=("cer", "wer"))
    features = toy.separable(splits)
    n_short = sum(features.clips[e.id].shape[1] < len(e.target) for e in spelt["train"])
    assert n_short
    score = run_task(task, features, Splits(**spelt), tmp_path, lrs=(1e-2,), **SETTINGS)
    assert f"{n_short} of 24 training clips have fewer frames" in capsys.readouterr().err
    assert (score["metric"], score["higher_is_better"]) == ("cer", False)
    assert set(score["metrics"]) == {"cer", "wer"}


def test_a_folder_that_cannot_be_is_an_error(toy, tmp_path):
    splits = toy.splits()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="another output folder"):
        run_task(KS, toy.separable(splits), splits, tmp_path / "file", lrs=(1e-2,), **SETTINGS)


@pytest.mark.parametrize(
    "path", sorted(Path(runner.__file__).parent.rglob("*.py")), ids=lambda path: path.stem
)
def test_only_the_list_of_tasks_imports_a_task(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tasks = {f"earbit.superb.{name}" for name in TASKS}
    assert imported & tasks == (tasks if path.stem == "tasks" else set())
