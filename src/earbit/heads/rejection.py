"""Rejection of audio without a keyword: a score of no keyword, and a threshold of log odds.

Letters: N clips, C labels, D width.
"""

from __future__ import annotations

import bisect
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from earbit.heads.linear import LinearHead
from earbit.runtime.likeliest import probability_of

DECAY = 1e-3
"""Factor of the squared weights of the score of no keyword."""


@dataclass(slots=True)
class KeywordOdds:
    """Log odds of keywords in one part of the data; -inf where another label is likelier."""

    keywords: list[float] = field(default_factory=list)
    """Of the right keyword, by clip."""
    others: list[float] = field(default_factory=list)
    """Of any keyword in audio without one."""
    noise: list[float] = field(default_factory=list)
    """Of any keyword in generated silence and noise."""
    other_s: float = 0.0
    """Length of the audio without a keyword."""

    def threshold(self, n_allowed: int, noise: Sequence[float] = ()) -> float:
        """Log odds that let at most `n_allowed` others and no noise through.

        Half way to the next higher log odds, and at least 0, a probability of a half.
        """
        others = sorted(self.others, reverse=True)
        limit = max((0.0, *noise, *others[n_allowed : n_allowed + 1]))
        above = [odds for odds in (*self.keywords, *self.others) if odds > limit]
        over = float(np.nextafter(limit, np.inf))
        return max(over, (limit + min(above)) / 2) if above else over

    def pick(self, per_hour: float) -> tuple[str, float]:
        """The rule and the log odds of a threshold that lets no noise through.

        At most `per_hour` false accepts per hour.  Where there is too little audio to count them,
        as large a share of others is accepted as of keywords missed, unless that is below a
        probability of a half.
        """
        n_allowed = int(per_hour * self.other_s / 3600)
        if n_allowed > 0:
            rule = f"at most {per_hour:g} false accepts per hour"
            return rule, self.threshold(n_allowed, self.noise)
        n_keywords, n_others = max(1, len(self.keywords)), max(1, len(self.others))

        def is_enough(n: int) -> bool:
            least = self.threshold(n)
            n_missed = sum(odds < least for odds in self.keywords)
            return n / n_others >= n_missed / n_keywords

        n_equal = bisect.bisect_left(range(len(self.others)), True, key=is_enough)
        equal, least = self.threshold(n_equal), self.threshold(n_equal, self.noise)
        rule = "no noise or silence accepted" if least > equal else "equal error, at least 0.5"
        return rule, least

    def at(self, log_odds: float) -> dict[str, Any]:
        """The operating point of a threshold, for scores.json."""
        n_false = sum(odds >= log_odds for odds in self.others)
        missed = [odds < log_odds for odds in self.keywords]
        return {
            "log_odds": log_odds,
            "threshold": probability_of(log_odds),
            "false_accepts": n_false,
            "false_accepts_per_hour": 3600 * n_false / self.other_s if self.other_s else None,
            "misses": float(np.mean(missed)) if missed else None,
            "noise_accepted": sum(odds >= log_odds for odds in self.noise),
        }

    def counts(self) -> dict[str, Any]:
        """Amounts of data, for scores.json."""
        return {
            "n_keywords": len(self.keywords),
            "n_others": len(self.others),
            "hours_without_keyword": self.other_s / 3600,
            "n_noise": len(self.noise),
        }


def body_of(head: LinearHead) -> torch.nn.Module:
    """The head without its last layer: (L, B, T, D) -> (B, d_hidden)."""
    body = copy.deepcopy(head)
    body.output = torch.nn.Identity()  # type: ignore[assignment]
    return body


def with_none(head: LinearHead, groups: Sequence[tuple[Tensor, Tensor]]) -> LinearHead:
    """A head with one more output, the score of no keyword, and the same others.

    groups: outputs of the body (N, d_hidden), and indices of their labels (N,), C for none; each
    group has the same weight.  Trains the weights of the new output by cross-entropy.
    """
    scale_D, mean_D = torch.std_mean(torch.cat([x for x, _ in groups]).double(), dim=0)
    scale_D = scale_D.clamp(min=1e-6)
    inputs = [(x.double() - mean_D) / scale_D for x, _ in groups]
    with torch.no_grad():
        scores = [head.output(x).double() for x, _ in groups]
    weights = torch.zeros(len(mean_D) + 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        total = DECAY * weights[:-1].square().sum()
        for x_ND, scores_NC, (_, targets) in zip(inputs, scores, groups, strict=True):
            none_N = x_ND @ weights[:-1] + weights[-1]
            both = torch.cat([scores_NC, none_N[:, None]], dim=1)
            total = total + F.cross_entropy(both, targets)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    weight_D = (weights[:-1] / scale_D).detach()
    bias = (weights[-1] - weight_D @ mean_D).detach()
    state = head.state_dict()
    state["output.weight"] = torch.cat([state["output.weight"], weight_D[None].float()])
    state["output.bias"] = torch.cat([state["output.bias"], bias[None].float()])
    return _with_outputs(head, state)


def without_none(head: LinearHead) -> LinearHead:
    """A head without its last output, the score of no keyword."""
    state = head.state_dict()
    cut = {name: state[name][:-1] for name in ("output.weight", "output.bias")}
    return _with_outputs(head, state | cut)


def _with_outputs(head: LinearHead, state: dict[str, Tensor]) -> LinearHead:
    """A head like another with weights of another number of outputs."""
    with torch.random.fork_rng(devices=[]):
        other = type(head)(replace(head.shape, n_outputs=len(state["output.bias"])))
    other.load_state_dict(state)
    return other.eval()


def is_keyword(label: str) -> bool:
    """Whether a label is a keyword: others are written as `_unknown_` and `_silence_`."""
    return not (label.startswith("_") and label.endswith("_"))
