"""Blocks of Python run, in the order of their page, on small stand-ins for models and audio."""

import numpy as np
import pytest
import soundfile
from blocks import ROOT, in_language

from earbit.export.verb import export_model
from earbit.load import random_model
from earbit.model_file import save_model
from earbit.presets import preset
from random_heads import head_for

RUN_ELSEWHERE = {
    "docs/other-formats.md": "tests/hub/test_other_formats_page.py",
    "docs/runtime.md": "tests/runtime/test_runtime_page.py",
}
"""Pages whose blocks a test of their own runs, because they need what shell blocks write."""
PYTHON = in_language("python")


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """A folder with the files that pages open, of the smallest presets."""
    folder = tmp_path_factory.mktemp("pages")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    soundfile.write(folder / "speech.wav", noise, 16_000)
    (folder / "float").mkdir()
    model = random_model(preset("hubert-tiny"), seed=0)
    save_model(model, folder / "float" / "model.safetensors", {})
    head_for(model, folder / "float-ks")
    export_model("hubert-tiny", folder / "hubert.safetensors", plan="w1a1")
    export_model(str(folder / "float"), folder / "words.safetensors", head=folder / "float-ks")
    (folder / "stream").mkdir()
    model = random_model(preset("sparseformer-stream-tiny"), seed=0)
    save_model(model, folder / "stream" / "model.safetensors", {})
    head_for(model, folder / "stream-ks")
    export_model(str(folder / "stream"), folder / "stream.safetensors")
    head = folder / "stream-ks"
    export_model(str(folder / "stream"), folder / "stream-words.safetensors", head=head)
    return folder


@pytest.mark.parametrize("page", sorted({block.page for block in PYTHON} - RUN_ELSEWHERE.keys()))
def test_the_python_of_a_page_runs_as_it_stands(page, stand_ins, monkeypatch):
    monkeypatch.chdir(stand_ins)
    names = {}
    for block in PYTHON:
        if block.page == page:
            lines = "\n" * block.line + block.code  # lines of errors are those of the page
            exec(compile(lines, str(ROOT / page), "exec"), names)


def test_pages_with_tests_of_their_own_are_read_there():
    for page, test in RUN_ELSEWHERE.items():
        name = page.rpartition("/")[2]
        assert name in (ROOT / test).read_text(encoding="utf-8")
        assert page in {block.page for block in PYTHON}
