"""What of a model is quantized together when errors are measured: kinds of module, and layers."""

from __future__ import annotations

import itertools
import re

import torch

from earbit.nn.attention import SelfAttention
from earbit.nn.convolution_module import GatedConvolution, UngatedConvolution
from earbit.nn.front_end import FrontEnd
from earbit.nn.leaves import Leaf
from earbit.nn.positional import PositionalConv
from earbit.nn.transformer_layer import FeedForward
from earbit.quantize.convert import quantized_leaves_of

KINDS: dict[str, tuple[type[torch.nn.Module], ...]] = {
    "front end": (FrontEnd,),
    "position": (PositionalConv,),
    "attention": (SelfAttention,),
    "convolution": (GatedConvolution, UngatedConvolution),
    "feed-forward": (FeedForward,),
}
"""The positional convolution stands before the layers of every encoder: a kind of its own."""
OTHER = "other"
LAYERS = "all in layers"
ALL = "all"
NOT_QUANTIZED = "not quantized"
"""What training moved beside the quantized leaves: norms, float leaves, other parameters."""
PAIR = " + "
Part = str | tuple[str, int]
"""What is quantized together: a kind, two kinds `a + b`, a word above, or a kind in one layer."""
_LAYER = re.compile(r"\blayers\.(\d+)(?![^.])")


def kind_of(model: torch.nn.Module, name: str) -> str:
    """The kind of the part of a model that a leaf belongs to."""
    module = model
    for child in name.split("."):
        module = module.get_submodule(child)
        for kind, types in KINDS.items():
            if isinstance(module, types):
                return kind
    return OTHER


def layer_of(name: str) -> int | None:
    """The layer of the encoder that a module is in, from 0."""
    found = _LAYER.search(name)
    return None if found is None else int(found[1])


def is_layer(name: str) -> bool:
    """Whether the name is that of a whole layer."""
    found = _LAYER.search(name)
    return found is not None and found.end() == len(name)


def parts_of(student: torch.nn.Module) -> dict[Part, dict[str, Leaf]]:
    """The leaves of every part, by their names.

    Each kind, each pair of the kinds in layers, all in layers, each kind in each layer.
    """
    quantized: dict[str, Leaf] = dict(quantized_leaves_of(student))
    kinds = {name: kind_of(student, name) for name in quantized}
    layers = {name: layer_of(name) for name in quantized}
    inside = {name: leaf for name, leaf in quantized.items() if layers[name] is not None}

    def of(*chosen: str) -> dict[str, Leaf]:
        return {name: leaf for name, leaf in quantized.items() if kinds[name] in chosen}

    order = [kind for kind in (*KINDS, OTHER) if kind in kinds.values()]
    inner = [kind for kind in order if kind in {kinds[name] for name in inside}]
    parts: dict[Part, dict[str, Leaf]] = {kind: of(kind) for kind in order}
    for pair in itertools.combinations(inner, 2):
        parts[PAIR.join(pair)] = of(*pair)
    if inside:
        parts[LAYERS] = inside
    for kind in inner:
        for layer in sorted({layers[name] or 0 for name in inside if kinds[name] == kind}):
            parts[kind, layer] = {n: leaf for n, leaf in of(kind).items() if layers[n] == layer}
    return parts


def blocks_of(student: torch.nn.Module) -> dict[str, str]:
    """The whole modules in layers of which something is quantized: their kinds by name."""
    quantized = quantized_leaves_of(student)
    blocks = {}
    for name, module in student.named_modules():
        kind = next((k for k, types in KINDS.items() if isinstance(module, types)), None)
        is_quantized = any(leaf.startswith(f"{name}.") for leaf in quantized)
        if kind is not None and layer_of(name) is not None and is_quantized:
            blocks[name] = kind
    return blocks
