"""First values of the learned scales, from data.  A verb of its own: `forward` never calibrates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from earbit.errors import ConfigError, DataError
from earbit.quantize.convert import leaves_of
from earbit.quantize.leaves import BinaryLeaf, BinaryMatMul


def binary_leaves_of(model: torch.nn.Module) -> dict[str, BinaryLeaf]:
    """The quantized leaves of a model by name."""
    return {n: leaf for n, leaf in leaves_of(model).items() if isinstance(leaf, BinaryLeaf)}


@torch.no_grad()
def calibrate(model: torch.nn.Module, waveforms: Iterable[Tensor]) -> None:
    """Sets every scale by BiT's rule from full batches (B, N) without padding; shifts become zero.

    In each batch a leaf takes its scale before it computes, so later leaves see what they will see
    in use; over several batches a scale is the mean of its values.  Deterministic: the model runs
    in evaluation mode.  Raises DataError, naming the leaf, for non-finite activations, and
    ConfigError without batches.
    """
    leaves = binary_leaves_of(model)
    totals: dict[str, dict[str, Tensor]] = {}
    hooks = [
        leaf.register_forward_pre_hook(_observer(n, leaf, totals), with_kwargs=True)
        for n, leaf in leaves.items()
    ]
    for leaf in leaves.values():
        if not isinstance(leaf, BinaryMatMul):
            leaf.input_shift.zero_()
    was_training = model.training
    model.eval()
    n_batches = 0
    try:
        for wave_BN in waveforms:
            model(wave_BN)
            n_batches += 1
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    if not n_batches:
        raise ConfigError("calibration without audio; give at least one batch")
    for name, values in totals.items():
        for parameter, total in values.items():
            getattr(leaves[name], parameter).copy_(total / n_batches)


def _observer(
    name: str, leaf: BinaryLeaf, totals: dict[str, dict[str, Tensor]]
) -> Callable[..., None]:
    def observe(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        sums = totals.setdefault(name, {})
        for parameter, value in leaf.observe(*args, **kwargs).items():
            if not bool(torch.isfinite(value)):
                raise DataError(
                    f"calibration: non-finite input of leaf {name!r}; check the model's weights "
                    "and the audio"
                )
            sums[parameter] = sums.get(parameter, torch.zeros_like(value)) + value
            getattr(leaf, parameter).copy_(value)

    return observe
