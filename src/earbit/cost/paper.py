"""Table 1 of arXiv 2311.02772 for earbit's presets and all plans, beside printed values.

Only ratios against the full-precision Transformer are compared: the paper states neither the unit
of its FLOP and BOP columns nor the length of its input, and its plans can only be inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earbit.cost.devices import DEVICES
from earbit.cost.profile import Profile, leaves_of_config, profile_plans
from earbit.cost.table import notes
from earbit.presets import preset
from earbit.progress import progress
from earbit.quantize.plan import PLANS
from earbit.text_table import aligned

MODELS = (
    "hubert-base",
    "conformer-s",
    "squeezeformer-xs",
    "sparseformer-dn-s",
    "sparseformer-sw-s",
)
DEVICE = "a100-fp32"


@dataclass(frozen=True, kw_only=True, slots=True)
class Printed:
    """Printed values of a row, in % relative to full-precision vanilla. None if not printed."""

    storage: float | None = None
    flops: float | None = None
    bops: float | None = None
    time: float | None = None


def _less(figure: float, of: float) -> float:
    return 100 * (figure / of - 1)


# Full precision: 184.42 MB, 110.54 FLOP, 1228.64 BOP.  The 1-bit rows are compared with plan
# `w1a1-encoder`, since the printed storage leaves no room for anything else in one bit.
PRINTED: dict[tuple[str, str], Printed] = {
    ("hubert-base", "fp32"): Printed(storage=0.0, flops=0.0, bops=0.0, time=0.0),
    ("hubert-base", "w1a1-encoder"): Printed(
        storage=_less(25.23, 184.42), flops=_less(11.82, 110.54), bops=_less(236.45, 1228.64)
    ),
    ("conformer-s", "fp32"): Printed(storage=-64.0, flops=-74.0),
    # "7.7 % more" than the Sparseformer's storage, whose BOPs are "32.9 % fewer".
    ("conformer-s", "w1a1-encoder"): Printed(
        storage=_less(12.10 * 1.077, 184.42), bops=_less(118.61 / (1 - 0.329), 1228.64)
    ),
    ("sparseformer-dn-s", "w1a1-encoder"): Printed(
        storage=-93.4, flops=-93.4, bops=-90.3, time=-91.1
    ),
}

NOTES = (
    "ratios of storage are those of fp16",
    "printed: figures of the paper; '-' means that it states none, or that we could not read it",
    "ours: the shapes of both Sparseformers, their window (32 frames), HuBERT's front end and "
    "positional convolution around every encoder, all plans; vanilla is HuBERT Base",
    "not known: the paper's length of input, its unit of FLOP and BOP, what it counts as FLOP of a "
    "1-bit model (its FLOP fall with the bits; ours do not, so the table also has 'float FLOP', "
    "the part that stays in float), which layers are 1-bit (its storage implies the encoder's "
    "matrices with the rest in fp16), the float rate of the A100 behind its time",
    "so no absolute figure of the paper is reproduced here, and the ratios are comparable only as "
    "far as these agree",
)


def table_1(n_samples: int) -> tuple[str, list[Profile]]:
    """Table 1 as text, and its profiles of all `MODELS` under all plans.

    n_samples: length of the clip.  Raises ConfigError for an invalid length.
    """
    with progress("profiling", len(MODELS) * len(PLANS)) as advance:
        profiles = []
        for name in MODELS:
            config = preset(name)
            leaves = leaves_of_config(config)
            plans = [(plan.name, plan.precisions(leaves)) for plan in PLANS.values()]
            for profile in profile_plans(
                config,
                plans,
                n_samples=n_samples,
                name=name,
                rest_bits=16,
                devices=[DEVICES[DEVICE]],
            ):
                profiles.append(profile)
                advance()
    lines = [*aligned(_figures(profiles)), "", *aligned(_ratios(profiles)), ""]
    return "\n".join([*lines, *notes(profiles), *NOTES]), profiles


def _figures(profiles: Sequence[Profile]) -> list[list[str]]:
    columns = ["params M", "MB fp32", "MB fp16", "GMAC", "GFLOP", "float GFLOP", "TBOP", "act. MB"]
    rows = [["", *columns, f"{DEVICE} est. ms"]]
    for profile in profiles:
        cost = profile.total
        rows.append(
            [
                f"{profile.name} {profile.plan}",
                f"{cost.parameters / 1e6:.2f}",
                *(f"{cost.storage_bits[bits] / 8e6:.2f}" for bits in (32, 16)),
                f"{cost.macs / 1e9:.2f}",
                f"{cost.flops / 1e9:.2f}",
                f"{cost.float_flops / 1e9:.2f}",
                f"{cost.bops / 1e12:.4g}",
                f"{cost.activation_bits / 8e6:.1f}",
                f"{cost.estimates[DEVICE].ms:.4g}",
            ]
        )
    return rows


def _ratios(profiles: Sequence[Profile]) -> list[list[str]]:
    """Ratios in % against the first profile, with fp16 storage for both as in the paper."""
    columns = ["storage", "printed", "FLOP", "float FLOP", "printed", "BOP", "printed"]
    rows = [["% against the first row", *columns, "est. time", "printed"]]
    first = profiles[0].total
    for profile in profiles:
        cost = profile.total
        printed = PRINTED.get((profile.name, profile.plan), Printed())
        cells = (
            _less(cost.storage_bits[16], first.storage_bits[16]),
            printed.storage,
            _less(cost.flops, first.flops),
            _less(cost.float_flops, first.float_flops),
            printed.flops,
            _less(cost.bops, first.bops),
            printed.bops,
            _less(cost.estimates[DEVICE].ms, first.estimates[DEVICE].ms),
            printed.time,
        )
        label = f"{profile.name} {profile.plan}"
        rows.append([label, *("-" if cell is None else f"{cell:+.1f}" for cell in cells)])
    return rows
