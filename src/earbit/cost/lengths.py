"""Cost against length of audio: MACs of a model from 1 second to 10 minutes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.profile import macs_of_lengths
from earbit.model import ModelConfig
from earbit.progress import progress

LENGTHS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


def macs_by_length(configs: Mapping[str, ModelConfig]) -> list[dict[str, Any]]:
    """Records `{name, seconds, macs}` of models by name, where the latter two are lists.

    MACs do not depend on plans.
    """
    rows = []
    with progress("profiling lengths", len(configs) * len(LENGTHS_S)) as advance:
        for name, config in configs.items():
            macs = []
            for n_macs in macs_of_lengths(config, [n * SAMPLE_RATE_HZ for n in LENGTHS_S]):
                macs.append(n_macs)
                advance()
            rows.append({"name": name, "seconds": list(LENGTHS_S), "macs": macs})
    return rows
