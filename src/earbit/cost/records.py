"""Profiles as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.cost import Cost
from earbit.cost.profile import Profile
from earbit.cost.table import shown_modules


def to_json(profiles: Sequence[Profile], module_depth: int = 0) -> list[dict[str, Any]]:
    """Converts profiles to records, with storage in whole bytes and times in milliseconds.

    module_depth: maximum number of names in the path of listed modules; 0 lists no modules.
    """
    return [
        {
            "name": profile.name,
            "plan": profile.plan,
            "parameters": profile.total.parameters,
            "storage_bytes": -(-profile.storage_bits // 8),
            **_costs(profile.total),
            "seconds": profile.n_samples / SAMPLE_RATE_HZ,
            "rest_bits": profile.rest_bits,
            "accounting": profile.accounting,
            "groups": {part: _record(cost) for part, cost in profile.groups.items()},
            "modules": [
                {"module": path, **_record(cost)}
                for path, cost in shown_modules(profile, module_depth).items()
            ],
            "unknown_ops": profile.unknown_ops,
            "sources": {device.name: device.source for device in profile.devices},
        }
        for profile in profiles
    ]


def _record(cost: Cost) -> dict[str, Any]:
    return {"parameters": cost.parameters, **_costs(cost)}


def _costs(cost: Cost) -> dict[str, Any]:
    return {
        "macs": cost.macs,
        "flops": cost.flops,
        "bops": cost.bops,
        "estimate_ms": {device: time.ms for device, time in cost.estimates.items()},
        "storage_bits": {f"fp{bits}": n_bits for bits, n_bits in cost.storage_bits.items()},
        "other_flops": cost.other_flops,
        "float_flops": cost.float_flops,
        "activation_bits": cost.activation_bits,
    }
