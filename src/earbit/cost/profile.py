"""The cost profile of a model: what it needs for one clip, in total and by part.

The full-precision model runs once on the meta device, where tensors have shapes and no numbers; a
plan changes the bits of its operands and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from earbit.config import suggest
from earbit.cost.devices import DEVICES, EstimatedTime, estimate
from earbit.cost.op import Op
from earbit.cost.storage import (
    RestBits,
    check_rest_bits,
    n_parameters,
    owners,
    storage_bits,
)
from earbit.cost.trace import Leaf, trace
from earbit.errors import ConfigError
from earbit.model import AudioModel, ModelConfig
from earbit.nn.front_end import MIN_SAMPLES, FrontEnd
from earbit.nn.leaves import Conv1d, Linear, MatMul
from earbit.nn.positional import PositionalConv
from earbit.nn.precision import FLOAT, Precision

Part = Literal["front end", "positions", "linears", "convolutions", "attention products", "rest"]
PARTS: tuple[Part, ...] = get_args(Part)
MAX_SAMPLES = 16_000 * 86_400
"""A day of audio; beyond it the attention matrices of some encoders outgrow 64-bit sizes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a part of a model, or all of it, needs."""

    parameters: int
    storage_bits: int
    macs: int
    other_flops: int
    """Floating-point operations that are not products."""
    flops: int
    """2 MACs and the others."""
    bops: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The cost of one model under one plan for one clip."""

    name: str
    plan: str
    n_samples: int
    """Length of the clip; 16,000 are a second."""
    rest_bits: int
    """Bits in storage of whatever is not quantized."""
    total: Cost
    groups: dict[Part, Cost]
    estimates: dict[str, EstimatedTime]
    """By device."""
    ops: tuple[Op, ...]
    unknown_ops: dict[str, int]
    """Operations without a formula and how often they ran; their cost is missing above."""


def profile_model(
    config: ModelConfig,
    precisions: Mapping[str, Precision],
    *,
    n_samples: int = 160_000,
    name: str,
    plan: str,
    rest_bits: RestBits = 32,
) -> Profile:
    """The cost of features from one clip: batch of 1, no padding, without the unit head.

    precisions: of leaves by name; the others stay in float.  name, plan: labels of the result.
    Raises ConfigError for a leaf that the model does not have, a clip shorter than a frame or
    longer than a day, and `rest_bits` that is no float format.
    """
    if not MIN_SAMPLES <= n_samples <= MAX_SAMPLES:
        raise ConfigError(
            f"n_samples={n_samples}; give {MIN_SAMPLES} (25 ms, one frame) to {MAX_SAMPLES} (a day)"
        )
    check_rest_bits(rest_bits)
    model = _without_numbers(config)
    _check_names(_leaf_names(model), precisions)
    # Only pre-training uses the head: neither features nor an exported program contain it.
    model.head = None
    traced = trace(model, torch.empty(1, n_samples, device="meta"), precisions=precisions)
    groups = _costs_by_part(model, traced.ops, precisions, rest_bits)
    return Profile(
        name=name,
        plan=plan,
        n_samples=n_samples,
        rest_bits=rest_bits,
        total=_sum(list(groups.values())),
        groups=groups,
        estimates={device: estimate(traced.ops, DEVICES[device]) for device in DEVICES},
        ops=traced.ops,
        unknown_ops=traced.unknown_ops,
    )


def leaf_names_of(config: ModelConfig) -> list[str]:
    """The leaves of a model, in its order, as a plan names them; no weights are made."""
    return _leaf_names(_without_numbers(config))


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


def _costs_by_part(
    model: torch.nn.Module,
    ops: tuple[Op, ...],
    precisions: Mapping[str, Precision],
    rest_bits: int,
) -> dict[Part, Cost]:
    costs: dict[Part, list[Cost]] = {part: [] for part in PARTS}
    for path, owner in owners(model):
        costs[part_of(model, path)].append(
            Cost(
                parameters=n_parameters(owner),
                storage_bits=storage_bits(owner, precisions.get(path, FLOAT), rest_bits),
                macs=0,
                other_flops=0,
                flops=0,
                bops=0,
            )
        )
    for op in ops:
        costs[part_of(model, op.name)].append(
            Cost(
                parameters=0,
                storage_bits=0,
                macs=op.n_macs,
                other_flops=op.n_other_flops,
                flops=op.flops,
                bops=op.bops,
            )
        )
    return {part: _sum(parts) for part, parts in costs.items()}


def _sum(costs: list[Cost]) -> Cost:
    return Cost(
        parameters=sum(c.parameters for c in costs),
        storage_bits=sum(c.storage_bits for c in costs),
        macs=sum(c.macs for c in costs),
        other_flops=sum(c.other_flops for c in costs),
        flops=sum(c.flops for c in costs),
        bops=sum(c.bops for c in costs),
    )


def _without_numbers(config: ModelConfig) -> AudioModel:
    with torch.device("meta"):
        return AudioModel(config).eval()


def _leaf_names(model: AudioModel) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, Leaf)]


def _check_names(leaf_names: list[str], precisions: Mapping[str, Precision]) -> None:
    for name in precisions:
        if name not in leaf_names:
            raise ConfigError(f"no leaf {name!r} in this model{suggest(name, leaf_names)}")
