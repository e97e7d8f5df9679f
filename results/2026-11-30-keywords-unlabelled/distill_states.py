"""Brings the hidden states of a 1-bit model closer to those of a float model on unlabelled speech.

    python distill_states.py STUDENT TEACHER CORPUS N_STEPS OUT PEAK_LR

STUDENT and TEACHER: model folders of one shape.  CORPUS: a folder of audio.  OUT: the model, its
log and checkpoints; the same command resumes.
"""

import argparse
from pathlib import Path

import torch

from earbit.audio.augment import AugmentConfig
from earbit.load import load_model
from earbit.model_file import save_model
from earbit.pretrain.loop import train
from earbit.pretrain.machine import Machine
from earbit.pretrain.masking import MaskConfig
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.quantize.train import STATES_ALONE, student_loss
from earbit.units.labelled import open_training_corpus, unlabelled

parser = argparse.ArgumentParser(description=__doc__)
for name in ("student", "teacher", "corpus"):
    parser.add_argument(name)
parser.add_argument("n_steps", type=int)
parser.add_argument("out", type=Path)
parser.add_argument("peak_lr", type=float)
given = parser.parse_args()
torch.set_num_threads(1)
model = load_model(given.student)
settings = TrainConfig(
    optimiser=OptimiserConfig(
        peak_lr=given.peak_lr, n_steps=given.n_steps, warmup_steps=100, max_gradient_norm=1.0
    ),
    mask=MaskConfig(probability=0.1, span_frames=5, min_spans=1),
    batch_s=24.0,
    crop_s=1.5,
    augment=AugmentConfig(gain_db=6.0, noise=0.3, mix=0.2, snr_db=(5.0, 25.0)),
    checkpoint_every_steps=100,
    log_every_steps=20,
    validate_every_steps=500,
    machine=Machine(device="cpu", workers=0, keep_in_memory_gb=3.0),
)
figures = train(
    model,
    unlabelled(open_training_corpus(given.corpus)),
    settings,
    given.out,
    objective=student_loss(load_model(given.teacher), STATES_ALONE, 0.0),
    run={"script": Path(__file__).name},
)
save_model(model, given.out / "model.safetensors", {"stage": "distilled on unlabelled speech"})
print(figures)
