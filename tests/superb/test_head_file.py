import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch
from one_task import run_task
from safetensors import safe_open
from safetensors.torch import save_file

from earbit.errors import ConfigError, FormatError
from earbit.heads.metrics import METRICS
from earbit.superb.head_file import HEAD_NAME, load_head, save_head
from earbit.superb.ks import KS
from earbit.superb.scores import cases_by_setting


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    splits = toy.splits()
    features = toy.separable(splits)
    protocol = replace(KS.published, lrs=(1e-2,), n_steps=40, batch_size=12)
    score = run_task(KS, features, splits, folder, protocol=protocol, seed=0)
    return folder, features, splits, score


@pytest.fixture
def run(finished, tmp_path):
    shutil.copy(finished[0] / "head.safetensors", tmp_path)
    return tmp_path, *finished[1:]


def scores(trained, features, splits):
    (cases,) = cases_by_setting(trained, features, splits, "test").values()
    return {name: METRICS[name].of(cases) for name in trained.task.metrics}


def test_a_saved_head_scores_as_it_did(run):
    folder, features, splits, score = run
    for where in (folder, str(folder / "head.safetensors")):
        assert scores(load_head(where), features, splits) == score["metrics"]


def test_a_saved_head_has_its_task_its_outputs_and_the_model_it_was_trained_on(run):
    folder, features, _, score = run
    head = load_head(folder)
    assert head.task is KS
    assert head.slots == (("down", "left", "up"),)
    assert head.model_digest == features.model_digest == "m"
    assert asdict(head.point) == score["grid"][0]


def test_several_slots_are_kept_apart(run, tmp_path):
    slots = (("down",), ("left", "up"))
    save_head(tmp_path / "slots.safetensors", replace(load_head(run[0]), slots=slots))
    assert load_head(tmp_path / "slots.safetensors").slots == slots


def header_and_tensors(path):
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["earbit"]), tensors


def test_a_head_of_an_early_version_is_read_with_the_best_point_of_its_sweep(run):
    path = run[0] / "head.safetensors"
    header, tensors = header_and_tensors(path)
    point = header["point"]
    header["sweep"] = {"key": "k", "points": [{**point, "lr": 9.0}, point], "best": 1}
    for name in ("model_digest", "slots", "point"):
        del header[name]
    save_file(tensors, path, {"earbit": json.dumps(header)})
    head = load_head(path)
    assert (head.model_digest, head.slots) == ("", (("down", "left", "up"),))
    assert asdict(head.point) == point


def test_a_head_scores_other_features_of_the_same_shape(run, toy):
    folder, _, splits, _ = run
    metrics = scores(load_head(folder), toy.constant(splits), splits)
    assert metrics["accuracy"] == pytest.approx(1 / 3)


def test_features_of_another_shape_are_an_error(run):
    folder, features, splits, _ = run
    with pytest.raises(ConfigError, match="trained on 3 x 8"):
        scores(load_head(folder), replace(features, n_states=5), splits)


def test_loading_leaves_the_global_generator_alone(run):
    before = torch.random.get_rng_state()
    load_head(run[0])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("n_bytes", [0, 7, 100, 5000])
def test_a_truncated_file_is_refused(run, n_bytes):
    path = run[0] / "head.safetensors"
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(FormatError, match="not a readable head"):
        load_head(run[0])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "earbit-head-0"),
        ("shape", {"n_states": 3, "width": 8, "n_outputs": 4}),
        ("shape", {"n_states": 4, "width": 8, "n_outputs": 3}),
        ("shape", {"n_states": 3, "width": "8", "n_outputs": 3}),
        ("shape", {"depth": 3}),
        ("outputs", None),
        ("outputs", ["down"]),
        ("slots", [2]),
        ("slots", [2, 2]),
        ("slots", 3),
        ("task", "sing"),
        ("task", "asv"),
        ("point", {"lr": 1e-2}),
        ("point", 3),
    ],
)
def test_metadata_that_does_not_fit_is_refused(run, key, value):
    path = run[0] / "head.safetensors"
    header, tensors = header_and_tensors(path)
    save_file(tensors, path, {"earbit": json.dumps({**header, key: value})})
    with pytest.raises(FormatError):
        load_head(path)


def test_a_foreign_or_missing_file_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "head.safetensors")
    with pytest.raises(FormatError, match="not a head of earbit"):
        load_head(tmp_path)
    with pytest.raises(FormatError, match="folder of `earbit superb` or `import`"):
        load_head(tmp_path / "nothing")


def test_a_folder_of_several_tasks_is_answered_with_those_of_its_heads(tmp_path):
    for task in ("ks", "er"):
        (tmp_path / task).mkdir()
        (tmp_path / task / HEAD_NAME).touch()
    with pytest.raises(FormatError, match=f"; give {tmp_path}/er, {tmp_path}/ks$"):
        load_head(tmp_path)
