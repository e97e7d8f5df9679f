"""Modules without numbers have the tensors of those with numbers."""

import pytest

from earbit.load import random_model
from earbit.model import AudioModel
from earbit.nn.shapes_only import shapes_only
from earbit.presets import PRESETS, preset


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("-tiny")])
def test_a_model_without_numbers_has_the_names_shapes_and_types_of_one_with_numbers(name):
    with shapes_only():
        state = AudioModel(preset(name)).state_dict()
    assert all(tensor.is_meta for tensor in state.values())
    expected = random_model(preset(name), 0).state_dict()
    assert {n: (t.shape, t.dtype) for n, t in state.items()} == {
        n: (t.shape, t.dtype) for n, t in expected.items()
    }
