"""Profiles as plain-text tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.accounting import FLOAT_FORMATS, Accounting
from earbit.cost.cost import Cost
from earbit.cost.profile import PARTS, Profile
from earbit.errors import ConfigError
from earbit.nn.roles import label_of
from earbit.text_table import aligned

Row = list[str]

Figure = tuple[float, str, Callable[[Cost], float]]
"""Unit, format, and figure of a cost."""


def _storage(rest_bits: int) -> Figure:
    return 8e6, ".2f", lambda cost: cost.storage_bits[rest_bits]


def _figures_of(accounting: Accounting) -> dict[str, Figure]:
    """Figures by column, with storage in all float formats of the accounting."""
    return {
        "params M": (1e6, ".3f", lambda cost: cost.parameters),
        **{f"MB fp{bits}": _storage(bits) for bits in FLOAT_FORMATS[accounting]},
        "GMAC": (1e9, ".3f", lambda cost: cost.macs),
        "GFLOP": (1e9, ".2f", lambda cost: cost.flops),
        "TBOP": (1e12, ".4g", lambda cost: cost.bops),
        "act. MB": (8e6, ".2f", lambda cost: cost.activation_bits),
    }


def render(profiles: Sequence[Profile], module_depth: int = 0) -> str:
    """Renders totals, ratios to the first row, times, roles, modules and units.

    module_depth: maximum number of names in the path of a shown module; 0 shows no modules.  Raises
    ConfigError without profiles, and for profiles of different clips or accountings, which cannot
    share a table.
    """
    _check_alike(profiles)
    first = profiles[0]
    figures = _figures_of(first.accounting)
    devices = [device.name for device in first.devices]
    shown = [part for part in PARTS if any(p.groups[part].flops for p in profiles)]
    totals, ratios = [["total", *figures]], [["times less", *figures, *devices]]
    times, parts = [["estimated ms", *devices]], [["GMAC (TBOP)", *map(label_of, shown)]]
    for profile in profiles:
        label = f"{profile.name} {profile.plan}"
        totals.append([label, *_figures(figures, profile.total)])
        ratios.append([label, *_ratios(figures, first.total, profile.total)])
        times.append([label, *_times(profile.total)])
        costs = [profile.groups[part] for part in shown]
        parts.append([label, *(f"{c.macs / 1e9:.3f} ({c.bops / 1e12:.4g})" for c in costs)])
    tables = [totals, ratios, *([times] if devices else []), parts]
    if module_depth:
        tables += [_modules(figures, profile, module_depth) for profile in profiles]
    lines = [line for rows in tables for line in (*aligned(rows), "")]
    return "\n".join(
        [
            *lines,
            *notes(profiles),
            "times less: The value of the first row divided by that of this row.",
        ]
    )


def shown_modules(profile: Profile, depth: int) -> dict[str, Cost]:
    """Modules whose path has at most `depth` names and whose cost is not zero."""
    return {
        path: cost
        for path, cost in profile.modules.items()
        if path and path.count(".") < depth and (cost.parameters or cost.flops)
    }


def notes(profiles: Sequence[Profile]) -> list[str]:
    """Meaning of units, sources of rates, and operations that were not counted."""
    first = profiles[0]
    rule = {
        "earbit": "Values that are not quantized, including scales and shifts, have this format.",
        "yeh": "As in Yeh et al., only matrices of encoder layers are quantized, scales are not "
        "counted, the projection to units is, and other values have this format.",
    }[first.accounting]
    formats = ", ".join(f"MB fp{bits}" for bits in FLOAT_FORMATS[first.accounting])
    lines = [
        f"input: One clip of {first.n_samples / SAMPLE_RATE_HZ:g} s ({first.n_samples} samples). "
        "Costs are counted from the waveform to the features.",
        "MAC: One multiplication and addition of a matrix product or convolution. Sparse attention "
        "counts only its pairs.",
        "FLOP: Two per MAC, plus operations outside of products (biases, activations, norms, "
        "softmax, sums). Precisions do not matter.",
        "BOP: Each MAC counts the bits of one operand times the bits of the other.",
        f"{formats}: Stored numbers in 10^6 bytes. {rule}",
        "act. MB: Peak memory of activations. Each has the bits of the reader that needs most. "
        "Modules reuse memory, so their values do not add up to the total.",
        "estimated ms: Compute-bound time of the products at the rates below. It is not measured.",
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
        lines.append(f"rates in 10^12 operations per second: {rates} ({source})")
    for profile in profiles:
        if profile.unknown_ops:
            ops = ", ".join(f"{name} x{n}" for name, n in sorted(profile.unknown_ops.items()))
            lines.append(f"NOT COUNTED in {profile.name} {profile.plan}: {ops}, without a formula.")
    return lines


def _figures(figures: Mapping[str, Figure], cost: Cost) -> Row:
    return [f"{of(cost) / unit:{form}}" for unit, form, of in figures.values()]


def _times(cost: Cost) -> Row:
    return [f"{time.ms:.4g}" for time in cost.estimates.values()]


def _ratios(figures: Mapping[str, Figure], first: Cost, other: Cost) -> Row:
    pairs = [(of(first), of(other)) for _, _, of in figures.values()]
    pairs += [(first.estimates[name].ms, time.ms) for name, time in other.estimates.items()]
    return [f"{a / b:.2f}" for a, b in pairs]


def _modules(figures: Mapping[str, Figure], profile: Profile, depth: int) -> list[Row]:
    """One row per module with its submodules, indented by depth."""
    devices = [device.name for device in profile.devices]
    rows = [[f"{profile.name} {profile.plan}", *figures, *(f"{name} est. ms" for name in devices)]]
    for path, cost in shown_modules(profile, depth).items():
        label = "  " * path.count(".") + path
        rows.append([label, *_figures(figures, cost), *_times(cost)])
    return rows


def _check_alike(profiles: Sequence[Profile]) -> None:
    if not profiles:
        raise ConfigError("no profile to show; give at least one model")
    for what in ("n_samples", "accounting"):
        values = {getattr(profile, what) for profile in profiles}
        if len(values) > 1:
            raise ConfigError(f"profiles of {what} {sorted(values)} in one table; give one value")
