"""The contract of an upstream of s3prl."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from earbit.errors import ConfigError, DataError
from earbit.export.prepared_model import model_of
from earbit.frames import n_frames_of
from earbit.hub import s3prl
from earbit.hub.s3prl import add_to
from earbit.model_file import save_model
from earbit.quantize.student import noise_clips

PAGE = Path(__file__).parents[2] / "docs" / "other-formats.md"
CLIP = torch.from_numpy(noise_clips(3, n_clips=1)[0])


@pytest.fixture
def expert(tmp_path):
    model = model_of("squeezeformer-tiny", plan="w1a1", seed=0)
    save_model(model, tmp_path / "model.safetensors", {})
    hub = SimpleNamespace()
    add_to(hub)
    # As the runner of s3prl calls it.
    return model, hub.earbit_local(ckpt=str(tmp_path), model_config=None, refresh=False).eval()


def test_hidden_states_have_one_shape_and_the_frames_that_s3prl_expects(expert):
    _, upstream = expert
    for key in ("PR", "ASR", "SID", "hidden_states"):
        assert upstream.get_downsample_rates(key) == 320
    for lengths in ([16_000], [800], [9000, 31_999, 123]):
        with torch.no_grad():
            states = upstream([CLIP[:n] for n in lengths])["hidden_states"]
        assert isinstance(states, list)
        assert len(states) == 4
        assert len({state.shape for state in states}) == 1
        assert states[0].shape[0] == len(lengths)
        assert abs(states[0].shape[1] - round(max(lengths) / 320)) < 5


def test_clips_in_a_batch_have_the_states_of_each_alone(expert):
    model, upstream = expert
    with torch.no_grad():
        batch = upstream([CLIP[:9000], CLIP[:5000]])["hidden_states"]
        alone = model(CLIP[None, :5000]).states
    for together, single in zip(batch, alone, strict=True):
        alike = together[1, : n_frames_of(5000)]
        torch.testing.assert_close(alike, single[0], atol=1e-5, rtol=0)


def test_gradients_reach_the_model(expert):
    _, upstream = expert
    upstream.train()([CLIP[:4000]])["hidden_states"][-1].sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in upstream.model.parameters())


def test_arrays_have_the_states_of_tensors_and_the_last_one_has_its_name(expert):
    """The featurizer of s3prl looks for `last_hidden_state`."""
    with torch.no_grad():
        of_arrays = expert[1]([CLIP[:9000].numpy(), CLIP[:5000].double().numpy()])
        of_tensors = expert[1]([CLIP[:9000], CLIP[:5000]])
    assert torch.equal(of_arrays["last_hidden_state"], of_tensors["hidden_states"][-1])
    for wrong, said in (
        ([[0.0] * 4000], r"clips \['list'\]; .* a tensor or an array"),
        ([CLIP[:4000].numpy().astype("int16")], "of type torch.int16; give float samples"),
        ([], "give at least one"),
    ):
        with pytest.raises(DataError, match=said):
            expert[1](wrong)


def test_what_is_no_batch_or_no_model_is_refused(expert):
    with pytest.raises(DataError, match=r"clips \[\(1, 4000\)\]; give at least one"):
        expert[1]([CLIP[None, :4000]])
    with pytest.raises(DataError, match=r"one clip of shape \(.*\); give a list, as \[clip\]"):
        expert[1](CLIP)
    with pytest.raises(ConfigError, match="neither a preset nor a model file"):
        type(expert[1])("nowhere")
    with pytest.raises(ConfigError, match="no model for the upstream"):
        type(expert[1])()


def test_the_line_of_the_page_makes_the_upstream_known_to_the_runner(expert, tmp_path):
    """The runner takes the upstream from `s3prl/hub.py`, which imports each one by name."""
    (line,) = re.findall(r"`([^`]+)` at the end of `s3prl/hub\.py`", PAGE.read_text())
    assert f"line of `s3prl/hub.py`: `{line}`" in s3prl.__doc__
    hub = {}
    exec(line, hub)
    upstream = hub["earbit_local"](ckpt=str(tmp_path), model_config=None, refresh=False)
    assert upstream.get_downsample_rates("PR") == 320


def test_s3prl_is_not_imported():
    code = "import earbit.hub.s3prl, sys; print('s3prl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
