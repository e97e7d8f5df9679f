"""Windows of a longer clip: what docs/runtime.md says of live audio."""

import numpy as np
import pytest

from earbit.export.verb import export_model
from earbit.runtime import Session

START, END = 32_000, 96_000
WAVEFORM = np.random.default_rng(0).normal(0, 0.1, 128_000).astype(np.float32)


def error_of_a_window(path, *settings):
    """Largest difference of the 20 middle frames of a window of 4 s from those of the clip."""
    export_model("sparseformer-dn-tiny", path, plan="fp32", settings=settings)
    session = Session(path)
    window = session.run(WAVEFORM[START:END])
    whole = session.run(WAVEFORM)[START // 320 :][: len(window)]
    middle = slice(len(window) // 2 - 10, len(window) // 2 + 10)
    return np.abs(window[middle] - whole[middle]).max()


@pytest.mark.parametrize("setting", ["front_end=filterbank", "front_end.norm=layer"])
def test_the_middle_of_a_window_of_a_local_model_has_the_features_of_the_clip(tmp_path, setting):
    assert error_of_a_window(tmp_path / "p.safetensors", setting) < 1e-4


@pytest.mark.parametrize("settings", [(), ("front_end.norm=batch",)])
def test_a_norm_over_the_clip_changes_every_frame_of_a_window(tmp_path, settings):
    assert error_of_a_window(tmp_path / "p.safetensors", *settings) > 1e-3
