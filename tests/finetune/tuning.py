"""Fine-tunings of one small model on three notes."""

import json

import numpy as np
import soundfile
import torch

from earbit.encoders.transformer import TransformerConfig
from earbit.finetune.verb import fine_tune_model
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.model_file import save_model
from earbit.nn.front_end import FrontEndConfig
from earbit.superb.work import Settings

NOTES_HZ = {"low": 250, "mid": 1_000, "high": 3_500}
SPLIT_OF = {"anna": "train", "ben": "train", "cleo": "train", "dan": "train", "eve": "valid"}
MODEL = ModelConfig(
    encoder=TransformerConfig(n_layers=2, d_model=16, n_heads=2, d_ffn=32, position_kernel=16),
    front_end=FrontEndConfig(n_channels=16, norm="batch", shortcut=True),
)


def write_notes(root):
    """Four speakers of train, and one each of valid and test, who say each word twice."""
    random = np.random.default_rng(0)
    lines = []
    for k, (speaker, split) in enumerate({**SPLIT_OF, "fay": "test"}.items()):
        for word, hz in NOTES_HZ.items():
            for i in range(2):
                name = f"{speaker}-{word}-{i}"
                t_s = np.arange(2_000 + 300 * k + 170 * i) / 16_000
                wave = 0.3 * np.sin(2 * np.pi * hz * t_s) + 0.01 * random.standard_normal(t_s.size)
                soundfile.write(root / f"{name}.wav", wave, 16_000)
                fields = {"speaker": speaker, "keyword": word, "text": word[0], "split": split}
                lines.append({"id": name, "path": f"{name}.wav", **fields})
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_model(folder, config=MODEL):
    folder.mkdir()
    save_model(random_model(config, seed=0), folder / "model.safetensors", {})
    return folder


def tune(model, data, out_dir, *, task="ks", n_steps=6, batch_size=6, lr=3e-3, **options):
    """The scores of a fine-tuning of few steps."""
    settings = Settings(n_steps=n_steps, batch_size=batch_size, lrs=(lr,))
    options = {"seed": 0, "changes": (), **options}
    changes = ("d_hidden=16", "log_every_steps=1", *options.pop("changes"))
    if "teacher" in options:
        changes = changes[1:]
    (score,) = fine_tune_model(
        str(model), (task,), (str(data),), out_dir, settings=settings, changes=changes, **options
    )
    return score


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a) and a.keys() == b.keys()
