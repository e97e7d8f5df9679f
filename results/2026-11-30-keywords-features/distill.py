"""Trains a model to predict the features of a teacher.

    python distill.py MODEL --corpus DIR --features DIR --n-steps N --out DIR

The loss is the mean squared error of a linear map of every frame of the last hidden state to the
teacher's features of the clean audio, each feature scaled to variance 1 and clamped to +-5.  The
map is dropped afterwards, and OUT is like a folder of `earbit pretrain`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earbit.audio.augment import AugmentConfig
from earbit.load import load_model
from earbit.model import AudioModel
from earbit.model_file import save_model
from earbit.pretrain.loop import train
from earbit.pretrain.machine import Machine
from earbit.pretrain.masking import MaskConfig
from earbit.pretrain.objective import Loss, Objective
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.units.labelled import labelled, open_training_corpus
from earbit.units.labels import LabelHeader, UnitLabels

LIMIT = 5.0


def objective(table: torch.Tensor) -> Objective:
    """The loss; the "unit" of a frame is its row in the table."""
    some = table[:: max(1, len(table) // 100_000)].float()
    mean, deviation = some.mean(0), some.std(0)

    def loss(model: AudioModel, wave_BN: torch.Tensor, mask_BT: torch.Tensor, rows_BT: Any) -> Loss:
        states = model(wave_BN, mask_BT=mask_BT).states
        target = ((table[rows_BT].float() - mean) / deviation).clamp(-LIMIT, LIMIT)
        error = (model.to_teacher(states[-1]) - target).square().mean()
        return Loss(error, {"error": error.detach()})

    return Objective(loss, needs_units=True)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--n-steps", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    corpus = open_training_corpus(options.corpus)
    index = json.loads((options.features / "index.json").read_text())
    if index["digest"] != corpus.digest:
        raise SystemExit(f"{options.features}: features of another corpus")
    starts = index["starts"]
    rows = {
        name: np.arange(first, last, dtype=np.int32)
        for name, first, last in zip(index["ids"], starts, starts[1:], strict=False)
    }
    header = LabelHeader("given", None, 50.0, starts[-1], "0" * 64, corpus.digest)
    data = labelled(corpus, UnitLabels(header, rows))
    table = torch.from_numpy(np.load(options.features / "features.npy"))
    model = load_model(options.model)
    model.to_teacher = torch.nn.Linear(model.config.encoder.d_model, table.shape[1])
    config = TrainConfig(
        optimiser=OptimiserConfig(
            peak_lr=1.5e-3,
            n_steps=options.n_steps,
            warmup_steps=options.n_steps // 10,
            max_gradient_norm=1.0,
        ),
        mask=MaskConfig(probability=0.2, span_frames=6, min_spans=1),
        batch_s=24.0,
        crop_s=6.0,
        augment=AugmentConfig(gain_db=6.0, noise=0.3, mix=0.3, snr_db=(5.0, 25.0)),
        checkpoint_every_steps=200,
        log_every_steps=20,
        validate_every_steps=500,
        machine=Machine(device="cpu", workers=0, keep_in_memory_gb=3.0),
    )
    run = {"script": "distill.py"}
    print(train(model, data, config, options.out, objective=objective(table), run=run))
    del model.to_teacher
    origin = {"stage": "pretrain", "objective": "teacher features"}
    save_model(model, options.out / "model.safetensors", origin)


if __name__ == "__main__":
    main()
