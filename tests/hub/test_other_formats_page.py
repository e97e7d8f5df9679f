"""docs/other-formats.md: every command and every block of Python runs as it stands there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earbit.cli.main import main
from earbit.config import override
from earbit.export.prepared_model import model_of
from earbit.load import random_model
from earbit.model_file import save_model
from earbit.presets import preset
from earbit.quantize.student import noise_clips
from earbit.superb.tasks import TASKS
from random_heads import head_for

for package in ("transformers", "onnxruntime"):
    pytest.importorskip(package)
PAGE = Path(__file__).parents[2] / "docs" / "other-formats.md"


def test_every_block_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("speech.wav", np.concatenate(noise_clips(0)), 16_000)
    Path("float").mkdir()
    config = override(preset("hubert-tiny"), ["encoder.n_layers=1"])
    save_model(random_model(config, 0).eval(), Path("float/model.safetensors"), {})
    onebit = model_of("sparseformer-sw-tiny", plan="w1a1", seed=0)
    Path("onebit").mkdir()
    save_model(onebit, Path("onebit/model.safetensors"), {})
    head_for(
        onebit, Path("onebit-asr"), task=TASKS["asr"], labels=("<blank>", " ", "A"), d_hidden=8
    )
    blocks = re.findall(r"```(sh|python)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 6
    for language, text in blocks:
        if language == "python":
            exec(compile(text, str(PAGE), "exec"), {})
            continue
        for line in text.splitlines():
            main(shlex.split(line)[1:])
    assert Path("conformer-onnx/onnx/model_quantized.onnx").is_file()
