"""Profiles as a plain-text table for people and as JSON values for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.devices import DEVICES, SOURCE
from earbit.cost.profile import PARTS, Profile
from earbit.errors import ConfigError


def _estimated_ms(profile: Profile, device: str) -> float:
    return profile.estimates[device].ms


_FIGURES: dict[str, tuple[float, str, Callable[[Profile], float]]] = {
    "params M": (1e6, ".3f", lambda p: p.total.parameters),
    "MB": (8e6, ".2f", lambda p: p.total.storage_bits),
    "GMAC": (1e9, ".3f", lambda p: p.total.macs),
    "GFLOP": (1e9, ".2f", lambda p: p.total.flops),
    "TBOP": (1e12, ".4g", lambda p: p.total.bops),
    **{
        f"{device} est. ms": (1.0, ".4g", partial(_estimated_ms, device=device))
        for device in DEVICES
    },
}
"""Column: its unit, its format, the figure."""


def render(profiles: Sequence[Profile]) -> str:
    """Totals, how many times less than the first row they are, the parts, and what units mean.

    Raises ConfigError for no profile, or for profiles of different clips or float formats, which
    cannot share a table.
    """
    _check_alike(profiles)
    first = profiles[0]
    totals, ratios = [["total", *_FIGURES]], [["times less", *_FIGURES]]
    parts = [["GMAC (TBOP)", *PARTS]]
    for profile in profiles:
        label = f"{profile.name} {profile.plan}"
        totals.append(
            [label, *(f"{of(profile) / unit:{form}}" for unit, form, of in _FIGURES.values())]
        )
        ratios.append(
            [label, *(f"{of(first) / of(profile):.2f}" for _, _, of in _FIGURES.values())]
        )
        costs = [profile.groups[part] for part in PARTS]
        parts.append([label, *(f"{c.macs / 1e9:.3f} ({c.bops / 1e12:.4g})" for c in costs)])
    tables = [line for rows in (totals, ratios, parts) for line in (*_aligned(rows), "")]
    return "\n".join([*tables, *_notes(profiles)])


def to_json(profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    """One record for each profile; storage in whole bytes, times in milliseconds."""
    return [
        {
            "name": profile.name,
            "plan": profile.plan,
            "parameters": profile.total.parameters,
            "storage_bytes": -(-profile.total.storage_bits // 8),
            "macs": profile.total.macs,
            "flops": profile.total.flops,
            "bops": profile.total.bops,
            "estimate_ms": {device: time.ms for device, time in profile.estimates.items()},
            "seconds": profile.n_samples / SAMPLE_RATE_HZ,
            "rest_bits": profile.rest_bits,
            "other_flops": profile.total.other_flops,
            "groups": {part: asdict(cost) for part, cost in profile.groups.items()},
            "unknown_ops": profile.unknown_ops,
        }
        for profile in profiles
    ]


def _check_alike(profiles: Sequence[Profile]) -> None:
    if not profiles:
        raise ConfigError("no profile to show; give at least one model")
    for what, values in (
        ("n_samples", {p.n_samples for p in profiles}),
        ("rest_bits", {p.rest_bits for p in profiles}),
    ):
        if len(values) > 1:
            raise ConfigError(f"profiles of {what} {sorted(values)} in one table; give one value")


def _aligned(rows: list[list[str]]) -> list[str]:
    """Labels to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _notes(profiles: Sequence[Profile]) -> list[str]:
    first = profiles[0]
    rates = next(iter(DEVICES.values())).tops_of
    integers = ", ".join(f"{bits}-bit {rates[bits]:g}" for bits in rates if bits < max(rates))
    floats = ", ".join(f"{d.tops_of[max(rates)]:g} on {d.name}" for d in DEVICES.values())
    lines = [
        f"input: {first.n_samples / SAMPLE_RATE_HZ:g} s ({first.n_samples} samples), batch of 1, "
        "waveform to features",
        "MAC: one multiplication and addition of a product; a sparse pattern counts at its pairs",
        "FLOP: 2 per MAC, plus what is not a product: biases, activations, norms, softmax, sums; "
        "at any precision",
        "BOP: MACs x bits of one operand x bits of the other; for two activations too",
        f"MB: 10^6 bytes of numbers; what is not quantized, scales and shifts too, in fp"
        f"{first.rest_bits}",
        "est. ms: estimated, compute-bound, products alone, from the catalogue; never measured",
        f"rates, 10^12 operations per second: {integers}; float {floats} ({SOURCE})",
        "times less: the first row's figure over this row's",
    ]
    for profile in profiles:
        if profile.unknown_ops:
            ops = ", ".join(f"{name} x{n}" for name, n in sorted(profile.unknown_ops.items()))
            lines.append(f"NOT COUNTED in {profile.name} {profile.plan}: {ops} (no formula)")
    return lines
