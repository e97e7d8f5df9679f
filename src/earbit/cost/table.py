"""Profiles as plain-text tables for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.cost import Cost
from earbit.cost.parts import PARTS
from earbit.cost.profile import Profile
from earbit.errors import ConfigError

Row = list[str]

_FIGURES: dict[str, tuple[float, str, Callable[[Cost, int], float]]] = {
    "params M": (1e6, ".3f", lambda cost, _: cost.parameters),
    "MB": (8e6, ".2f", lambda cost, rest_bits: cost.storage_bits[rest_bits]),
    "GMAC": (1e9, ".3f", lambda cost, _: cost.macs),
    "GFLOP": (1e9, ".2f", lambda cost, _: cost.flops),
    "TBOP": (1e12, ".4g", lambda cost, _: cost.bops),
    "act. MB": (8e6, ".2f", lambda cost, _: cost.activation_bits),
}
"""Column: its unit, its format, the figure."""


def render(profiles: Sequence[Profile], module_depth: int = 0) -> str:
    """Totals, how many times less than the first row they are, times, parts, modules, units.

    module_depth: how many names of a module's path are shown; 0 shows no modules.  Raises
    ConfigError for no profile, or for profiles of different clips, float formats or accountings,
    which cannot share a table.
    """
    _check_alike(profiles)
    first = profiles[0]
    devices = [device.name for device in first.devices]
    totals, ratios = [["total", *_FIGURES]], [["times less", *_FIGURES, *devices]]
    times, parts = [["estimated ms", *devices]], [["GMAC (TBOP)", *PARTS]]
    for profile in profiles:
        label = f"{profile.name} {profile.plan}"
        totals.append([label, *_figures(profile.total, profile.rest_bits)])
        ratios.append([label, *_ratios(first, profile)])
        times.append([label, *_times(profile.total)])
        costs = [profile.groups[part] for part in PARTS]
        parts.append([label, *(f"{c.macs / 1e9:.3f} ({c.bops / 1e12:.4g})" for c in costs)])
    tables = [totals, ratios, *([times] if devices else []), parts]
    if module_depth:
        tables += [_modules(profile, module_depth) for profile in profiles]
    lines = [line for rows in tables for line in (*aligned(rows), "")]
    return "\n".join(
        [*lines, *notes(profiles), "times less: the first row's figure over this row's"]
    )


def shown_modules(profile: Profile, depth: int) -> dict[str, Cost]:
    """The modules whose path has at most `depth` names and that cost anything."""
    return {
        path: cost
        for path, cost in profile.modules.items()
        if path and path.count(".") < depth and (cost.parameters or cost.flops)
    }


def aligned(rows: Sequence[Row]) -> list[str]:
    """Labels to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def notes(profiles: Sequence[Profile]) -> list[str]:
    """What every unit means, where every rate is from, and what was not counted."""
    first = profiles[0]
    rule = {
        "earbit": "what is not quantized, scales and shifts too, in fp",
        "yeh": "Yeh et al.: only matrices of the encoder's layers quantized, without scales, the "
        "projection to the units counted; the rest in fp",
    }[first.accounting]
    lines = [
        f"input: {first.n_samples / SAMPLE_RATE_HZ:g} s ({first.n_samples} samples), batch of 1, "
        "waveform to features",
        "MAC: one multiplication and addition of a product; a sparse pattern counts at its pairs",
        "FLOP: 2 per MAC, plus what is not a product: biases, activations, norms, softmax, sums; "
        "at any precision",
        "BOP: MACs x bits of one operand x bits of the other; for two activations too",
        f"MB: 10^6 bytes of numbers; {rule}{first.rest_bits}",
        "act. MB: the most activations alive at once, each in the bits of its most demanding "
        "reader; modules use the same memory in turn, so theirs do not add up",
        "estimated ms: compute-bound, products alone, at the rates below; never measured",
    ]
    sources = dict.fromkeys(device.source for device in first.devices)
    for source in sources:
        rates = "; ".join(
            f"{device.name}: "
            + ", ".join(
                f"{'float' if bits == 32 else f'{bits}-bit'} {tops:.4g}"
                for bits, tops in device.tops_of.items()
            )
            for device in first.devices
            if device.source == source
        )
        lines.append(f"rates, 10^12 operations per second: {rates} ({source})")
    for profile in profiles:
        if profile.unknown_ops:
            ops = ", ".join(f"{name} x{n}" for name, n in sorted(profile.unknown_ops.items()))
            lines.append(f"NOT COUNTED in {profile.name} {profile.plan}: {ops} (no formula)")
    return lines


def _figures(cost: Cost, rest_bits: int) -> Row:
    return [f"{of(cost, rest_bits) / unit:{form}}" for unit, form, of in _FIGURES.values()]


def _times(cost: Cost) -> Row:
    return [f"{time.ms:.4g}" for time in cost.estimates.values()]


def _ratios(first: Profile, other: Profile) -> Row:
    figures = [
        (of(first.total, first.rest_bits), of(other.total, other.rest_bits))
        for _, _, of in _FIGURES.values()
    ]
    names = other.total.estimates
    times = [(first.total.estimates[name].ms, other.total.estimates[name].ms) for name in names]
    return [f"{a / b:.2f}" for a, b in (*figures, *times)]


def _modules(profile: Profile, depth: int) -> list[Row]:
    """One row per module, indented by its depth; each with all that is inside it."""
    devices = [device.name for device in profile.devices]
    rows = [[f"{profile.name} {profile.plan}", *_FIGURES, *(f"{name} est. ms" for name in devices)]]
    for path, cost in shown_modules(profile, depth).items():
        label = "  " * path.count(".") + path
        rows.append([label, *_figures(cost, profile.rest_bits), *_times(cost)])
    return rows


def _check_alike(profiles: Sequence[Profile]) -> None:
    if not profiles:
        raise ConfigError("no profile to show; give at least one model")
    for what in ("n_samples", "rest_bits", "accounting"):
        values = {getattr(profile, what) for profile in profiles}
        if len(values) > 1:
            raise ConfigError(f"profiles of {what} {sorted(values)} in one table; give one value")
