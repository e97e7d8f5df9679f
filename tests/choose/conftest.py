"""A small model of random weights, and a corpus with the labels of a task."""

import json

import numpy as np
import pytest
import soundfile

from earbit.encoders.transformer import TransformerConfig
from earbit.load import random_model
from earbit.model import ModelConfig
from earbit.model_file import save_model
from earbit.nn.front_end import FrontEndConfig

MODEL = ModelConfig(
    encoder=TransformerConfig(
        n_layers=2, d_model=32, n_heads=2, d_ffn=64, position_kernel=16, layer_drop=0.0
    ),
    front_end=FrontEndConfig(n_channels=32),
)


@pytest.fixture(scope="session")
def small_model():
    return random_model(MODEL, 0).eval()


@pytest.fixture(scope="session")
def small_folder(small_model, tmp_path_factory):
    """The model as a folder that commands take."""
    folder = tmp_path_factory.mktemp("float")
    save_model(small_model, folder / "model.safetensors", {})
    return folder


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """Clips of two classes by pitch, two for each of six speakers."""
    folder = tmp_path_factory.mktemp("tones")
    random = np.random.default_rng(0)
    rows = []
    t = np.arange(8000) / 16_000
    for speaker in range(6):
        for word, hz in (("low", 300.0), ("high", 2500.0)):
            for take in range(2):
                name = f"{word}-{speaker}-{take}.wav"
                wave = 0.2 * np.sin(2 * np.pi * hz * (1 + 0.05 * speaker) * t)
                soundfile.write(folder / name, wave + 0.01 * random.standard_normal(t.size), 16_000)
                split = "valid" if speaker == 4 else "test" if speaker == 5 else "train"
                row = {"path": name, "speaker": f"s{speaker}", "keyword": word, "split": split}
                rows.append(json.dumps(row))
    (folder / "manifest.jsonl").write_text("\n".join(rows) + "\n")
    return folder
