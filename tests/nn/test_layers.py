"""The layer of a leaf is that of the encoder's contract, whatever other numbers its name has."""

import pytest
import torch

from earbit.nn.leaves import Conv1d, Linear, layer_of, leaves_of, starred


@pytest.mark.parametrize(
    ("name", "layer", "family"),
    [
        ("encoder.layers.3.attention.query", 3, "encoder.layers.*.attention.query"),
        ("encoder.layers.12", 12, "encoder.layers.*"),
        ("encoder.layers.3.convs.1", 3, "encoder.layers.*.convs.1"),
        ("front_end.convs.0", 0, "front_end.convs.*"),
        ("layers.2.output", 2, "layers.*.output"),
        ("encoder.stem.0.layers.3", None, "encoder.stem.0.layers.3"),
        ("encoder.stem.conv2d1.layers.3", None, "encoder.stem.conv2d1.layers.3"),
        ("encoder.position.conv", None, "encoder.position.conv"),
        ("head.0.linear", None, "head.0.linear"),
        ("encoder.layers", None, "encoder.layers"),
    ],
)
def test_the_layer_is_the_index_in_the_layers_of_the_encoder_or_the_front_end(name, layer, family):
    assert layer_of(name) == layer
    assert starred(name) == family


class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.ModuleList([Conv1d(1, 1, 1), Conv1d(1, 1, 1)])
        self.layers = torch.nn.ModuleList(torch.nn.Sequential(Linear(1, 1)) for _ in range(2))


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()


def test_a_numbered_stem_of_an_encoder_is_no_layer():
    layers = {leaf.name: leaf.layer for leaf in leaves_of(Model())}
    assert layers == {
        "encoder.stem.0": None,
        "encoder.stem.1": None,
        "encoder.layers.0.0": 0,
        "encoder.layers.1.0": 1,
    }
