"""Means of validation, by hand arithmetic."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from earbit.audio.clips import Clip, ClipTable
from earbit.errors import DataError
from earbit.pretrain.loop import validate
from earbit.pretrain.objective import Loss, Objective
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.units.labelled import TrainingData

CONFIG = TrainConfig(
    optimiser=OptimiserConfig(peak_lr=1e-3, n_steps=1, warmup_steps=0), batch_s=1, crop_s=1
)


def test_batches_weigh_by_masked_frames_and_clips_that_cannot_be_decoded_are_listed(tmp_path):
    def read(clip, start=0, n_samples=0):
        if clip.id == "x":
            raise DataError("x: damaged")
        return np.zeros(n_samples, np.float32)

    n_masked = []

    def count(model, wave_BN, mask_BT, targets_BT):
        n_masked.append(int(mask_BT.sum()))
        return Loss(mask_BT.sum().float(), {})

    sizes = {"a": 9000, "d": 16_000, "x": 14_000}
    clips = ClipTable(Clip(name, Path(name), n) for name, n in sizes.items())
    data = TrainingData(clips, clips, read, "noise")
    objective = Objective(count, needs_units=False)
    figures = validate(nn.Identity(), data, CONFIG, objective, tmp_path)
    assert len(set(n_masked)) == 2
    mean = sum(n * n for n in n_masked) / sum(n_masked)
    assert figures == {"valid_loss": pytest.approx(mean)}
    assert '"id": "x"' in (tmp_path / "quarantine.jsonl").read_text()
