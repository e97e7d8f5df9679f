"""Packed queries, keys and values of torchaudio."""

import pytest
import torch
from test_hugging_face_families import random_twin
from true_layouts import torchaudio_state

from earbit.errors import FormatError
from earbit.hub.verb import import_model


@pytest.mark.parametrize("damaged", [torch.tensor(1.0), torch.zeros(145)])
def test_a_packed_tensor_that_is_not_three_is_refused(damaged, tmp_path):
    state = torchaudio_state(random_twin("wavlm", num_buckets=12, max_bucket_distance=30))
    name = "encoder.transformer.layers.0.attention.attention.in_proj_bias"
    assert state[name].shape == (144,)
    torch.save(state | {name: damaged}, tmp_path / "theirs.pt")
    with pytest.raises(FormatError, match=r"in_proj_bias of shape \((145,)?\); allowed"):
        import_model(tmp_path / "theirs.pt", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
