"""A digest that identifies a model."""

from __future__ import annotations

import hashlib
import json

import torch

from earbit.config import to_dict
from earbit.model import AudioModel
from earbit.nn.devices import TrainPrecision
from earbit.nn.leaves import MatMul, leaf_modules


def weights_digest(model: AudioModel) -> str:
    """SHA-256 over configuration, precisions, granularities and every tensor of a model."""
    precisions = {
        name: [
            leaf.precision.weight_bits,
            leaf.precision.activation_bits,
            None if isinstance(leaf, MatMul) else leaf.granularity,
        ]
        for name, leaf in leaf_modules(model).items()
    }
    config = to_dict(model.config, without_later=True)
    digest = hashlib.sha256(json.dumps([config, precisions]).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def features_digest(weights: str, precision: TrainPrecision) -> str:
    """The `weights_digest` of a model with the precision of its products, if that is not fp32."""
    return weights if precision == "fp32" else f"{weights} {precision}"
