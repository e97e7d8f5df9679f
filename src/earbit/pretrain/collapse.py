"""Early warnings of a training that does not learn, each printed once.

Values are means over the last `WINDOW` updates.  Nothing is said in the first `patience` updates,
in which a healthy training may look alike.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

WINDOW = 200
LEAST = 50
"""Updates that are enough after the last one, for a run that is shorter than the window."""
NEAR_COMMONEST = 1.25
"""An accuracy below this multiple of the share of the commonest unit is not learned from audio."""
FALLEN_USAGE = 0.5
RISEN_LOSS = 1.2


class CollapseWatch:
    """Looks at the scalars of every update, as they are logged; start: completed updates."""

    def __init__(self, n_steps: int, warmup_steps: int, start: int = 0) -> None:
        self.n_steps, self.start = n_steps, start
        self.patience = max(WINDOW, warmup_steps // 4)
        self.recent: deque[Mapping[str, float]] = deque(maxlen=WINDOW)
        self.first_loss = math.nan
        self.least_loss = math.inf
        self.most_used = 0.0
        self.said: set[str] = set()

    def add(self, step: int, parts: Mapping[str, float]) -> list[str]:
        """New warnings after an update; skipped updates have no loss and do not count."""
        if "loss" not in parts:
            return []
        self.recent.append(parts)
        is_full = len(self.recent) >= (LEAST if step == self.n_steps else WINDOW)
        if is_full and math.isnan(self.first_loss):
            self.first_loss = self._mean("loss")
        if not is_full or (step < self.patience and step != self.n_steps):
            return []
        # Means of a window change slowly; the last step is always looked at.
        if step % (WINDOW // 10) and step != self.n_steps:
            return []
        found = {
            "accuracy": self._accuracy(),
            "usage": self._usage(),
            "loss": self._loss(step),
        }
        new = [line for kind, line in found.items() if line and kind not in self.said]
        self.said |= {kind for kind, line in found.items() if line}
        return [f"warning, step {step}: {line}" for line in new]

    def _mean(self, name: str) -> float:
        values = [parts[name] for parts in self.recent if name in parts]
        return sum(values) / len(values) if values else math.nan

    def _accuracy(self) -> str | None:
        accuracy, share = self._mean("accuracy"), self._mean("commonest_unit")
        if not accuracy < NEAR_COMMONEST * share:
            return None
        return (
            f"accuracy {accuracy:.1%} over {len(self.recent)} steps is that of always predicting "
            f"the commonest unit ({share:.1%}): the model has learned nothing yet; train longer, "
            "try a higher peak_lr or, for a short run, train.unmasked_weight=1, and look at the "
            "units"
        )

    def _usage(self) -> str | None:
        used = self._mean("predicted_units")
        self.most_used = max(self.most_used, 0.0 if math.isnan(used) else used)
        if not used < FALLEN_USAGE * self.most_used:
            return None
        return (
            f"predictions use {used:.1f} units (perplexity) over {len(self.recent)} steps, before "
            f"{self.most_used:.1f}: the predictions collapse; start a new run with a "
            "lower peak_lr, or a longer warm-up"
        )

    def _loss(self, step: int) -> str | None:
        loss = self._mean("loss")
        self.least_loss = min(self.least_loss, loss)
        if loss > RISEN_LOSS * self.least_loss:
            return (
                f"the loss rises: {loss:.3f} over {len(self.recent)} steps, at best "
                f"{self.least_loss:.3f}; lower peak_lr or max_gradient_norm, or use a longer "
                "warm-up"
            )
        # A run that resumes has its first losses behind it, and may fall slowly now.
        is_whole = self.start < WINDOW
        if (
            is_whole
            and step >= self.start + 2 * WINDOW
            and self.least_loss >= 0.995 * self.first_loss
        ):
            return (
                f"the loss has not fallen: {loss:.3f} over {len(self.recent)} steps, "
                f"{self.first_loss:.3f} at the start; change peak_lr, and compare units and audio "
                "with `earbit units`"
            )
        return None
