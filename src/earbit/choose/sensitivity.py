"""Sensitivity: the penalty of a model in which one group of leaves is quantized."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence

import numpy as np
import torch

from earbit.choose.groups import LeafGroup, plan_of
from earbit.choose.judges import Judge
from earbit.model import AudioModel
from earbit.nn.precision import Precision
from earbit.progress import progress
from earbit.quantize.calibrate import WITHOUT_TRAINING
from earbit.quantize.propagation.hooks import replaced
from earbit.quantize.propagation.subjects import calibrated_twin

Penalties = MutableMapping[str, MutableMapping[str, float]]
"""Penalties by selector of a group and precision."""


@torch.no_grad()
def measure_penalties(
    teacher: AudioModel,
    pairs: Sequence[tuple[LeafGroup, Precision]],
    clips: Sequence[np.ndarray],
    judge: Judge,
    done: Penalties,
    keep: Callable[[], None],
) -> None:
    """Adds the missing penalties of groups in quantized precisions to `done`.

    clips: unpadded (samples,), on whose float activations all scales are calibrated, so that the
    scales of a group do not depend on other groups.  keep: called after every new penalty, to save
    it.  Groups of the teacher take turns to be replaced by those of a quantized copy.
    """
    missing = [(g, p) for g, p in pairs if str(p) not in done.get(str(g), {})]
    with progress("sensitivities", len(pairs), len(pairs) - len(missing)) as advance:
        for precision in dict.fromkeys(precision for _, precision in missing):
            groups = [group for group, its in missing if its == precision]
            plan = plan_of(str(precision), dict.fromkeys(groups, precision))
            twin = calibrated_twin(teacher, plan, clips, WITHOUT_TRAINING)
            for group in groups:
                with replaced(teacher, twin, group.leaves):
                    penalty = judge(teacher)
                done.setdefault(str(group), {})[str(precision)] = penalty
                keep()
                advance(1, f"{group} in {precision}: {penalty:.3g}")
