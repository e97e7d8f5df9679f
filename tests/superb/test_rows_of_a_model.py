"""Rows of a report for one model that has several folders."""

import json
from dataclasses import asdict

from earbit.leaderboard.table import compare
from earbit.superb.tasks import TASKS


def run_folder(root, model, **of_task):
    """An output folder with the scores of tasks."""
    for task, fields in of_task.items():
        path = root / model / task / "scores.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"task": task, "corpus_digest": "one", **fields}))
    return root / model


def published(task):
    return {"protocol_name": "superb", "protocol": asdict(TASKS[task].published)}


def test_folders_of_the_same_model_share_a_row_unless_scores_conflict(tmp_path, capsys):
    own = {"model_digest": "m"}
    ks = {"metrics": {"accuracy": 0.9}, **own}
    asr = {"metrics": {"wer": 0.5, "cer": 0.1}, **own}
    folders = [
        run_folder(tmp_path, "first", ks=dict(ks)),
        run_folder(tmp_path, "second", asr=dict(asr), ks=dict(ks)),
        run_folder(tmp_path, "other", asr={**asr, "model_digest": "n"}),
        run_folder(tmp_path, "packed", asr={**asr, "upstream": "runtime"}),
        run_folder(tmp_path, "seed", ks={**ks, "metrics": {"accuracy": 0.8}}),
        run_folder(tmp_path, "data", ks={**ks, "corpus_digest": "two"}),
        run_folder(tmp_path, "proxy", er={**ks, "protocol_name": "proxy", "protocol": {}}),
    ]
    folders.append(run_folder(tmp_path, "full", er={**ks, **published("er")}))
    _, rows = compare(folders, None)
    own_rows = [row for row in rows if row["protocol"] != "published"]
    # A protocol differs from another one and not from none, that of a task without training.
    assert [row["model"] for row in own_rows] == [
        "first + second + proxy", "other", "packed", "seed + full", "data",
    ]  # fmt: skip
    assert (own_rows[0]["wer"], own_rows[0]["ks accuracy"]) == (0.5, 0.9)
    said = capsys.readouterr().err
    assert "first + second and seed: the same model in two rows, as ks accuracy is 90" in said
    assert "first + second and data: the same model in two rows, as ks accuracy is of" in said
    assert "+ proxy and full: the same model in two rows, as their protocols differ" in said
