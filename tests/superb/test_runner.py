import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from earbit.errors import ConfigError, DataError
from earbit.superb import runner
from earbit.superb.heads import Head
from earbit.superb.ks import KS
from earbit.superb.runner import run_task
from earbit.superb.task import Fitted, GridPoint, new_head
from earbit.superb.tasks import TASKS
from earbit.superb.training import train_head

SETTINGS = {"n_steps": 40, "batch_size": 12, "seed": 0}


def counted(task, lrs_seen, stop_at=None):
    """The task, which notes what it trains, and is killed at one learning rate."""

    def fit(request):
        if request.lr == stop_at:
            raise KeyboardInterrupt
        lrs_seen.append(request.lr)
        return train_head(request)

    return replace(task, fit=fit)


def valid_values(task, values):
    """The task with heads that are trained, and validation values from a table."""

    def fit(request):
        fitted = train_head(request)
        return Fitted(head=fitted.head, point=replace(fitted.point, value=values[request.lr]))

    return replace(task, fit=fit)


def test_a_separable_problem_scores_one_and_the_result_says_how(toy, tmp_path):
    splits = replace(toy.splits(), summary={"drawn_by": "hand"})
    score = run_task(KS, toy.separable(splits), splits, tmp_path, lrs=(1e-2, 1e-4), **SETTINGS)
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["value"] == score.value == 1.0
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
    assert score.value == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({1e-1: 0.2, 1e-2: 0.8, 1e-3: 0.5}, 1e-2),
        ({1e-1: 0.2, 1e-2: 0.8, 1e-3: 0.8}, 1e-2),
        ({1e-1: float("nan"), 1e-2: 0.1, 1e-3: 0.05}, 1e-2),
    ],
)
def test_the_learning_rate_is_chosen_on_the_validation_clips(toy, tmp_path, values, best):
    splits = toy.splits()
    task = valid_values(KS, values)
    score = run_task(task, toy.separable(splits), splits, tmp_path, lrs=tuple(values), **SETTINGS)
    assert score.lr == best
    assert score.valid_value == values[best]
    alone = run_task(KS, toy.separable(splits), splits, tmp_path / "1", lrs=(best,), **SETTINGS)
    assert score.value == alone.value
    assert score.layer_weights == alone.layer_weights


def test_where_less_is_better_the_least_wins(toy, tmp_path):
    splits = toy.splits()
    task = replace(valid_values(KS, {1e-1: 0.2, 1e-2: 0.1, 1e-3: 0.5}), higher_is_better=False)
    score = run_task(
        task, toy.separable(splits), splits, tmp_path, lrs=(1e-1, 1e-2, 1e-3), **SETTINGS
    )
    assert score.lr == 1e-2


def test_the_test_clips_are_scored_once(toy, tmp_path):
    splits = toy.splits()
    scored = []

    def score(predictions, examples):
        scored.append(examples == splits.test)
        return KS.score(predictions, examples)

    task = replace(KS, score=score)
    run_task(task, toy.separable(splits), splits, tmp_path, lrs=(1e-2, 1e-3), **SETTINGS)
    assert scored.count(True) == 1
    assert scored[-1]


def test_a_rerun_trains_nothing_and_writes_the_same_bytes(toy, tmp_path):
    splits, seen = toy.splits(), []
    features = toy.separable(splits)
    run_task(counted(KS, seen), features, splits, tmp_path, lrs=(1e-2, 1e-3), **SETTINGS)
    before = (tmp_path / "scores.json").read_bytes()
    run_task(counted(KS, seen), features, splits, tmp_path, lrs=(1e-2, 1e-3), **SETTINGS)
    assert seen == [1e-2, 1e-3]
    assert (tmp_path / "scores.json").read_bytes() == before


def test_a_killed_sweep_goes_on_where_it_was_and_ends_as_if_it_had_not_been(toy, tmp_path):
    splits, seen, lrs = toy.splits(), [], (1e-2, 1e-3, 1e-4)
    features = toy.separable(splits)
    task = counted(KS, seen, stop_at=1e-4)
    with pytest.raises(KeyboardInterrupt):
        run_task(task, features, splits, tmp_path / "a", lrs=lrs, **SETTINGS)
    assert not (tmp_path / "a" / "scores.json").exists()
    run_task(counted(KS, seen), features, splits, tmp_path / "a", lrs=lrs, **SETTINGS)
    assert seen == [1e-2, 1e-3, 1e-4]
    run_task(KS, features, splits, tmp_path / "b", lrs=lrs, **SETTINGS)
    for name in ("scores.json", "head.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("changed", ["n_steps", "batch_size", "seed", "model", "clips"])
def test_a_run_of_another_kind_starts_anew(toy, tmp_path, changed, capsys):
    splits, seen = toy.splits(), []
    features, settings = toy.separable(splits), dict(SETTINGS)
    run_task(KS, features, splits, tmp_path, lrs=(1e-2,), **settings)
    match changed:
        case "model":
            features = replace(features, model_digest="another")
        case "clips":
            splits = replace(splits, train=splits.train[:-1])
        case _:
            settings[changed] += 1
    run_task(counted(KS, seen), features, splits, tmp_path, lrs=(1e-2,), **settings)
    assert seen == [1e-2]
    assert "starting anew" in capsys.readouterr().err


def test_a_task_without_training_runs_like_any_other(toy, tmp_path):
    """As a search by example would: no learning rate, the layer is what is chosen on valid."""

    class LayerMean(Head):
        def forward(self, states_LBTD, lengths):
            return self.layers(states_LBTD).sum(1) / lengths[:, None]

    def choose_layer(request):
        head = new_head(request)
        best = None
        for layer in range(head.shape.n_states):
            logits = torch.full((head.shape.n_states,), -1e9)
            logits[layer] = 0.0
            predictions = {}
            for e in request.splits.valid:
                predictions[e.id] = request.outputs[
                    int(request.features.clips[e.id][layer].mean(0)[:3].argmax())
                ]
            examples = request.splits.valid
            value = KS.metrics([predictions[e.id] for e in examples], examples)["accuracy"]
            if best is None or value > best[0]:
                best = (value, logits)
        head.layers.logits.data.copy_(best[1])
        return Fitted(head=head, point=GridPoint(lr=None, value=best[0], step=0, n_skipped=0))

    task = replace(
        KS,
        head=LayerMean,
        fit=choose_layer,
        encode=None,
        loss=None,
        decode=lambda outputs_D, names: names[int(outputs_D[:3].argmax())],
        defaults=replace(KS.defaults, lrs=()),
    )
    splits = toy.splits()
    score = run_task(task, toy.separable(splits), splits, tmp_path)
    assert score.lr is None
    assert score.layer_weights == [0.0, 1.0, 0.0]
    assert score.value == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lrs": (0.0,)}, "lr=0.0"),
        ({"lrs": (float("nan"),)}, "lr=nan"),
        ({"lrs": (1e-2, 1e-2)}, "occurs twice"),
        ({"n_steps": 0}, "n_steps=0"),
        ({"batch_size": 0}, "batch_size=0"),
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


def test_a_task_that_lacks_its_own_metric_is_an_error(toy, tmp_path):
    splits = toy.splits()
    task = replace(KS, metric="eer")
    with pytest.raises(ConfigError, match="no metric 'eer' among accuracy"):
        run_task(task, toy.separable(splits), splits, tmp_path, lrs=(1e-2,), **SETTINGS)


def test_a_folder_that_cannot_be_is_an_error(toy, tmp_path):
    splits = toy.splits()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="another output folder"):
        run_task(KS, toy.separable(splits), splits, tmp_path / "file", lrs=(1e-2,), **SETTINGS)


@pytest.mark.parametrize(
    "path", sorted(Path(runner.__file__).parent.glob("*.py")), ids=lambda path: path.stem
)
def test_only_the_list_of_tasks_imports_a_task(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tasks = {f"earbit.superb.{name}" for name in TASKS}
    assert imported & tasks == (tasks if path.stem == "tasks" else set())
