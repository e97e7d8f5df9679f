"""The parts that every model of ours divides into, so that models can be compared by them."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from earbit.nn.front_end import FrontEnd
from earbit.nn.leaves import Conv1d, Linear, MatMul
from earbit.nn.positional import PositionalConv

Part = Literal["front end", "positions", "linears", "convolutions", "attention products", "rest"]
PARTS: tuple[Part, ...] = get_args(Part)


def part_of(model: torch.nn.Module, path: str) -> Part:
    """The part that a module belongs to; a block with a name of its own owns all inside it."""
    module = model
    for child in path.split(".") if path else ():
        module = module.get_submodule(child)
        if isinstance(module, FrontEnd):
            return "front end"
        if isinstance(module, PositionalConv):
            return "positions"
    if isinstance(module, Linear):
        return "linears"
    if isinstance(module, Conv1d):
        return "convolutions"
    return "attention products" if isinstance(module, MatMul) else "rest"
