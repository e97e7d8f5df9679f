"""A study under torchrun: two ranks share the pre-training, and all steps are done."""

import json
import subprocess
import sys

import pytest

from melodies import write_melodies


@pytest.mark.slow
def test_two_ranks_do_what_one_study_does(tmp_path):
    audio, out = tmp_path / "audio", tmp_path / "out"
    audio.mkdir()
    write_melodies(audio, range(12))
    ranks = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    study = ["-m", "earbit", "study", "--corpus", str(audio), "--out", str(out)]
    small = ["--encoders", "sparseformer-sw-tiny", "--pretrain-steps", "3", "--quantize-steps", "2"]
    small += ["--set", "n_units=8", "train.batch_s=4", "train.crop_s=2"]
    run = subprocess.run(
        [sys.executable, *ranks, *study, *small],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    results = json.loads((out / "results.json").read_text())
    assert {step["state"] for step in results["steps"]} == {"done"}
    assert [one["plan"] for one in results["training"]] == ["fp32", "w1a2", "w1a1"]
    (training,) = out.glob("sparseformer-sw-tiny/fp32/seed0/pretrain-*")
    checkpoint = max((training / "checkpoints").glob("step-*"))
    state = json.loads((checkpoint / "state.json").read_text())
    assert state["run"]["micro_batches"] == 2  # one of each rank
