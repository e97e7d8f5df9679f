"""Initialises learned scales and shifts from data; `forward` never calibrates."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from earbit.errors import ConfigError, DataError, require_choice
from earbit.nn.evaluation import evaluating
from earbit.nn.finite import first_non_finite
from earbit.quantize.leaves import QuantizedMatMul
from earbit.quantize.quantizers import ActivationQuantizer
from earbit.quantize.scale_search import bit_scale, least_squares_scale

MAX_SEARCHED = 2**17
"""Elements of an activation among which the scale of least error is searched: more take minutes."""
ScaleRule = Literal["bit", "least-squares"]
ShiftRule = Literal["zero", "median"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationConfig:
    """Rules for initial values of scales and shifts."""

    scale: ScaleRule = "bit"
    """BiT's rule (2 or 4 mean|x|, arXiv 2205.13016), or the scale with the least squared error."""
    shift: ShiftRule = "zero"
    """Zero (BiT), or the shift that centres the median of a signed channel."""

    def __post_init__(self) -> None:
        require_choice(get_args(ScaleRule), scale=self.scale)
        require_choice(get_args(ShiftRule), shift=self.shift)


WITHOUT_TRAINING = CalibrationConfig(scale="least-squares")
"""Rules for a model that is not trained under its plan: nothing corrects the scales later."""


def quantizers_of(model: torch.nn.Module) -> dict[str, ActivationQuantizer]:
    """Quantizers of activations of a model, by the names of their modules."""
    return {n: m for n, m in model.named_modules() if isinstance(m, ActivationQuantizer)}


@torch.no_grad()
def calibrate(
    model: torch.nn.Module,
    waveforms: Iterable[Tensor],
    config: CalibrationConfig | None = None,
    *,
    keep_shifts_of: Container[str] = (),
) -> None:
    """Sets every scale and shift of activations from batches of audio, in evaluation mode.

    In each batch, a quantizer is calibrated on its input before it quantizes it, so later
    quantizers are calibrated on quantized inputs.  Over several batches, values are averaged.

    waveforms: float batches (B, N) at 16 kHz without padding.  keep_shifts_of: names of quantizers
    whose shifts, learned before, are kept.  Raises DataError with the batch and the quantizer or
    module for non-finite activations, and ConfigError without batches or for a quantizer that no
    batch reaches.
    """
    config = config or CalibrationConfig()
    quantizers = quantizers_of(model)
    totals: dict[str, dict[str, Tensor]] = {name: {} for name in quantizers}
    n_seen = dict.fromkeys(quantizers, 0)

    def observe(name: str) -> Callable[..., None]:
        owner = model.get_submodule(name.rpartition(".")[0])

        def hook(module: Any, args: tuple[Any, ...]) -> None:
            shift = None if name in keep_shifts_of else config.shift
            found = _first_values(
                name, module, args[0], _real_elements(owner, module), config.scale, shift
            )
            n_seen[name] += bool(found)
            for parameter, value in found.items():
                totals[name][parameter] = totals[name].get(parameter, 0) + value
                getattr(module, parameter).copy_(value)

        return hook

    handles = [
        quantizer.register_forward_pre_hook(observe(name)) for name, quantizer in quantizers.items()
    ]
    n_batches = 0
    try:
        with evaluating(model):
            for wave_BN in waveforms:
                try:
                    _run_finite(model, wave_BN)
                except DataError as error:
                    raise DataError(f"calibration, batch {n_batches}: {error}") from error
                n_batches += 1
    finally:
        for handle in handles:
            handle.remove()
    if not n_batches:
        raise ConfigError("calibration without audio; give at least one batch")
    missed = [name for name, n in n_seen.items() if not n]
    if missed:
        raise ConfigError(
            f"nothing reaches quantizer {missed[0]!r} in calibration ({len(missed)} in all): give "
            "longer audio, or leave this leaf out of the plan"
        )
    for name, values in totals.items():
        for parameter, total in values.items():
            getattr(quantizers[name], parameter).copy_(total / n_seen[name])


def _some_of(x: Tensor) -> Tensor:
    """At most MAX_SEARCHED elements of x (N,), drawn with a fixed seed."""
    if x.numel() <= MAX_SEARCHED:
        return x
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(x.numel(), (MAX_SEARCHED,), generator=generator)
    return x[chosen.to(x.device)]


def _real_elements(leaf: torch.nn.Module, quantizer: ActivationQuantizer) -> Tensor | None:
    """Mask of real elements of the leaf's operand; None if all are real."""
    if not isinstance(leaf, QuantizedMatMul) or leaf.pattern is None:
        return None
    return leaf.pattern.left if quantizer is leaf.left_quantizer else leaf.pattern.right


def _run_finite(model: torch.nn.Module, wave_BN: Tensor) -> None:
    module = first_non_finite(model, lambda: model(wave_BN))
    if module is not None:
        raise DataError(
            f"non-finite output of module {module!r}; check the model's weights and the audio"
        )


def _first_values(
    name: str,
    quantizer: ActivationQuantizer,
    x: Tensor,
    real: Tensor | None,
    scale_rule: ScaleRule,
    shift_rule: ShiftRule | None,
) -> dict[str, Tensor]:
    """Scale, and shift if a rule sets it, from one input; empty if none is real."""
    found: dict[str, Tensor] = {}
    if real is not None and not bool(real.any()):
        return found
    if quantizer.shift is not None:
        channels = x.movedim(-1 - len(quantizer.trailing), -1).flatten(0, -2)
        shift = quantizer.shift.clone()
        if shift_rule is not None:
            is_moved = shift_rule == "median" and quantizer.number_set == "signed"
            shift = -channels.median(dim=0).values if is_moved else torch.zeros_like(shift)
            found["shift"] = shift
        x = x + shift.view(-1, *quantizer.trailing)
    bits, number_set = quantizer.bits, quantizer.number_set
    if scale_rule == "bit":
        found["scale"] = bit_scale(x, bits, number_set, real)
    else:
        kept = x.flatten() if real is None else x[real.expand_as(x)]
        found["scale"] = least_squares_scale(_some_of(kept)[None], bits, number_set)[0]
    if not all(bool(torch.isfinite(value).all()) for value in found.values()):
        raise DataError(
            f"non-finite input of quantizer {name!r}; check the model's weights and the audio"
        )
    return found
