"""Distils the hidden states of a fine-tuned float model into a fine-tuned 1-bit model on unlabelled speech."""
import sys, torch
from pathlib import Path
from earbit.audio.augment import AugmentConfig
from earbit.load import load_model
from earbit.model_file import save_model
from earbit.pretrain.loop import train
from earbit.pretrain.machine import Machine
from earbit.pretrain.masking import MaskConfig
from earbit.pretrain.optimiser import OptimiserConfig
from earbit.pretrain.train_config import TrainConfig
from earbit.quantize.train import STATES_ALONE, student_loss
from earbit.units.labelled import open_training_corpus
import earbit.units.labelled as L
student, teacher, corpus, steps, out = sys.argv[1:6]
torch.set_num_threads(1)
s, t = load_model(student), load_model(teacher)
data = L.unlabelled(open_training_corpus(corpus))
settings = TrainConfig(
    optimiser=OptimiserConfig(peak_lr=float(sys.argv[6]), n_steps=int(steps), warmup_steps=100, max_gradient_norm=1.0),
    mask=MaskConfig(probability=0.1, span_frames=5, min_spans=1),
    batch_s=24.0, crop_s=1.5,
    augment=AugmentConfig(gain_db=6.0, noise=0.3, mix=0.2, snr_db=(5.0, 25.0)),
    checkpoint_every_steps=100, log_every_steps=20, validate_every_steps=500,
    machine=Machine(device="cpu", workers=0, keep_in_memory_gb=3.0),
)
found = train(s, data, settings, Path(out), objective=student_loss(t, STATES_ALONE, 0.0), run={"script": "unl.py"})
save_model(s, Path(out) / "model.safetensors", {"stage": "distilled on unlabelled speech"})
print(found)
