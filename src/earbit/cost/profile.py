"""Cost profile of a model for one clip: in total, by role and by module.

The full-precision model runs once on the meta device, where tensors have shapes and no numbers.  A
plan changes only the bits of operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from earbit.config import suggest
from earbit.cost.accounting import Accounting, float_format, quantized_leaves, stored
from earbit.cost.cost import STORAGE_FORMATS, Cost, total
from earbit.cost.devices import DEVICES, Device, EstimatedTime, estimate
from earbit.cost.op import Op
from earbit.cost.storage import RestBits
from earbit.cost.trace import Trace, trace
from earbit.errors import ConfigError
from earbit.frames import MIN_SAMPLES
from earbit.model import AudioModel, ModelConfig
from earbit.nn.leaves import NamedLeaf, leaf_modules, leaves_of, roles_of
from earbit.nn.precision import Precision
from earbit.nn.roles import ROLES
from earbit.nn.shapes_only import shapes_only

MAX_SAMPLES = 16_000 * 86_400
"""A day of audio; beyond it the attention matrices of some encoders exceed 64-bit sizes."""
CATALOGUE = tuple(DEVICES.values())
REST = "rest"
"""Operations outside of blocks with a role: norms between blocks, residual sums."""
PARTS = (*ROLES, REST)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The cost of one model under one plan for one clip."""

    name: str
    plan: str
    n_samples: int
    """Length of the clip, with 16,000 samples per second."""
    rest_bits: int
    """Storage bits of unquantized tensors, for the total storage."""
    accounting: Accounting
    total: Cost
    groups: dict[str, Cost]
    """Cost by role, and `rest`."""
    modules: dict[str, Cost]
    """Cost of modules by path, in model order, including their submodules."""
    devices: tuple[Device, ...]
    ops: tuple[Op, ...]
    unknown_ops: dict[str, int]
    """Counts of operations without a formula, whose cost is missing above."""

    @property
    def storage_bits(self) -> int:
        """Storage in the chosen float format."""
        return self.total.storage_bits[self.rest_bits]


def profile_model(
    config: ModelConfig,
    precisions: Mapping[str, Precision],
    *,
    n_samples: int = 160_000,
    name: str,
    plan: str,
    rest_bits: RestBits | None = None,
    accounting: Accounting = "earbit",
    devices: Sequence[Device] = CATALOGUE,
) -> Profile:
    """Profiles the features of one clip: batch of 1, no padding, without the unit head.

    precisions: of leaves by name; the others stay in float.  name, plan: labels of the result.
    rest_bits: storage bits of unquantized tensors; None is 32, or 16 if the accounting supports
    only that.  Raises ConfigError for an unknown leaf, a clip shorter than a frame or longer than a
    day, and `rest_bits` that the accounting does not support.
    """
    (profile,) = profile_plans(
        config,
        [(plan, precisions)],
        n_samples=n_samples,
        name=name,
        rest_bits=rest_bits,
        accounting=accounting,
        devices=devices,
    )
    return profile


def profile_plans(
    config: ModelConfig,
    plans: Sequence[tuple[str, Mapping[str, Precision]]],
    *,
    n_samples: int,
    name: str,
    rest_bits: RestBits | None = None,
    accounting: Accounting = "earbit",
    devices: Sequence[Device] = CATALOGUE,
) -> Iterator[Profile]:
    """Yields what `profile_model` returns for each of `plans`; the model runs once for all.

    plans: names of plans with their precisions of leaves.
    """
    if not MIN_SAMPLES <= n_samples <= MAX_SAMPLES:
        raise ConfigError(
            f"n_samples={n_samples}; give {MIN_SAMPLES} (25 ms, one frame) to {MAX_SAMPLES} (a day)"
        )
    rest_bits = float_format(accounting, rest_bits)
    model = _without_numbers(config)
    leaf_names = list(leaf_modules(model))
    for _, precisions in plans:
        _check_names(leaf_names, precisions)
    # Only pre-training uses the head, so features and exported programs exclude it.
    model.head = None
    run = trace(model, torch.empty(1, n_samples, device="meta"))
    for plan, precisions in plans:
        present = {leaf: p for leaf, p in precisions.items() if not leaf.startswith("head.")}
        counted = quantized_leaves(model, present, accounting)
        traced = run.at(counted)
        own = _costs_by_path(model, traced, counted, accounting, devices)
        yield Profile(
            name=name,
            plan=plan,
            n_samples=n_samples,
            rest_bits=rest_bits,
            accounting=accounting,
            total=total(own.values()),
            groups=_by_role(model, own, devices),
            modules=_with_what_is_inside(own),
            devices=tuple(devices),
            ops=traced.ops,
            unknown_ops=traced.unknown_ops,
        )


def macs_of_lengths(config: ModelConfig, lengths: Iterable[int]) -> Iterator[int]:
    """Yields the MACs of `profile_model` for clips of these numbers of samples."""
    model = _without_numbers(config)
    model.head = None
    for n_samples in lengths:
        traced = trace(model, torch.empty(1, n_samples, device="meta"))
        yield sum(op.n_macs for op in traced.ops)


def leaves_of_config(config: ModelConfig) -> list[NamedLeaf]:
    """Leaves in model order, for plans, without allocating weights."""
    return leaves_of(_without_numbers(config))


def _costs_by_path(
    model: AudioModel,
    traced: Trace,
    precisions: Mapping[str, Precision],
    accounting: Accounting,
    devices: Sequence[Device],
) -> dict[str, Cost]:
    """Cost of every module without the modules inside it."""
    costs: dict[str, list[Cost]] = {}
    formats = [list(stored(model, precisions, bits, accounting)) for bits in STORAGE_FORMATS]
    for rows in zip(*formats, strict=True):
        path, n_parameters, _ = rows[0]
        bits: dict[int, int] = {
            rest: row[2] for rest, row in zip(STORAGE_FORMATS, rows, strict=True)
        }
        peak = traced.peak_bits.get(path, 0)
        costs[path] = [_cost(devices, bits, parameters=n_parameters, activation_bits=peak)]
    for op in traced.ops:
        costs[op.name].append(
            Cost(
                storage_bits=dict.fromkeys(STORAGE_FORMATS, 0),
                macs=op.n_macs,
                other_flops=op.n_other_flops,
                flops=op.flops,
                float_flops=op.float_flops,
                bops=op.bops,
                estimates={device.name: estimate([op], device) for device in devices},
            )
        )
    return {path: total(of_path) for path, of_path in costs.items()}


def _cost(
    devices: Sequence[Device],
    storage_bits: dict[int, int] | None = None,
    *,
    parameters: int = 0,
    activation_bits: int = 0,
) -> Cost:
    """The cost of storage without computation."""
    return Cost(
        parameters=parameters,
        storage_bits=storage_bits or dict.fromkeys(STORAGE_FORMATS, 0),
        activation_bits=activation_bits,
        estimates={d.name: EstimatedTime(device=d.name, ms=0.0) for d in devices},
    )


def _by_role(
    model: AudioModel, own: Mapping[str, Cost], devices: Sequence[Device]
) -> dict[str, Cost]:
    costs: dict[str, list[Cost]] = {part: [_cost(devices)] for part in PARTS}
    role_of_path = roles_of(model)
    for path, cost in own.items():
        # Only one accounting counts the head, which the traced model lacks.
        role = "head" if path.startswith("head.") else role_of_path[path]
        costs[role or REST].append(cost)
    return {part: total(of_part) for part, of_part in costs.items()}


def _with_what_is_inside(own: Mapping[str, Cost]) -> dict[str, Cost]:
    costs: dict[str, list[Cost]] = {}
    for path, cost in own.items():
        for module in _ancestors(path):
            costs.setdefault(module, []).append(cost)
    return {path: total(inside) for path, inside in costs.items()}


def _ancestors(path: str) -> Iterator[str]:
    """The model (an empty path), the modules that contain this one, and this one."""
    yield ""
    names = path.split(".") if path else []
    for n in range(1, len(names) + 1):
        yield ".".join(names[:n])


def _without_numbers(config: ModelConfig) -> AudioModel:
    with shapes_only():
        return AudioModel(config).eval()


def _check_names(leaf_names: list[str], precisions: Mapping[str, Precision]) -> None:
    for name in precisions:
        if name not in leaf_names:
            raise ConfigError(f"no leaf {name!r} in this model{suggest(name, leaf_names)}")
