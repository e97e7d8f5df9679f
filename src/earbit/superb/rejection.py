"""Rejection of audio without a keyword by a keyword model, with false accepts and misses.

A head knows only its classes and is often sure of one on silence.  So it gets a score of no
keyword, trained on training clips, speech without a keyword and generated silence and noise.  The
threshold is picked on the validation clips and such audio.  The score of the task is that of the
head without both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earbit.audio.corpus import Corpus
from earbit.audio.other_audio import noises, windows_without
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import NAMES, Splits
from earbit.errors import DataError
from earbit.heads.example import Example
from earbit.heads.linear import LinearHead
from earbit.heads.rejection import KeywordOdds, body_of, is_keyword, with_none, without_none
from earbit.progress import progress, say
from earbit.runtime.likeliest import NONE, best_of, n_results
from earbit.superb.head_file import HEAD_NAME, TrainedHead, load_head, save_head
from earbit.upstream.features import FrozenFeatures
from earbit.upstream.upstream import Upstream

Array = NDArray[np.float32]
TARGET_PER_HOUR = 1.0
MAX_WINDOWS = 300
"""Windows of speech without a keyword in each part."""
N_NOISES = {"train": 200, "valid": 60, "test": 60}
"""Clips of generated silence and noise in each part."""
MANY_MISSES = 0.5
"""Share of missed keywords from which a threshold is announced."""
N_ALLOWED = (0, 1, 2, 5, 10, 20, 50, 100)
"""Numbers of false accepts of the operating points in scores.json."""


@dataclass(frozen=True, slots=True)
class _Clip:
    states_LTD: Array
    target: str | None
    """Label of a clip of the task; None for other audio."""
    is_noise: bool
    seconds: float


def add_rejection(
    score: Mapping[str, Any],
    out_dir: Path,
    upstream: Upstream,
    features: FrozenFeatures,
    corpus: Corpus,
    splits: Splits[Example],
    load: Callable[[Any], Array],
) -> dict[str, Any]:
    """Adds a score of no keyword and a threshold to the head in `out_dir`.

    `KeywordOdds.pick` picks the threshold.  load: waveform of a cut.  Returns the score with
    `rejection`, or as it is for labels without a keyword and for precomputed features.
    """
    trained = load_head(out_dir)
    assert isinstance(trained.head, LinearHead)
    if not any(map(is_keyword, trained.outputs)):
        say("no rejection threshold: no label is a keyword")
        return dict(score)
    audio = _Audio(trained.outputs, upstream, features, corpus, splits, load)
    try:
        trained = _with_none(trained, audio.clips("train"))
        valid, test = (_keyword_odds(trained, audio.clips(part)) for part in ("valid", "test"))
    except DataError as error:
        say(f"no rejection threshold: {error}")
        return dict(score)
    if not valid.other_s:
        say(
            f"corpus {corpus.name}: no audio without a keyword, so false accepts are not counted; "
            "label other speech `_unknown_`, or give its `text`"
        )
    rule, least = valid.pick(TARGET_PER_HOUR)
    if (misses := valid.at(least)["misses"]) > MANY_MISSES:
        say(
            f"the threshold rejects {100 * misses:.0f} % of the keywords of the validation part; "
            "train the head longer or on more clips, or give `earbit run` a lower --threshold"
        )
    points = dict.fromkeys(valid.threshold(n) for n in N_ALLOWED if n <= len(valid.others))
    rejection = {
        "rule": rule,
        "valid": {**valid.counts(), **valid.at(least)},
        "test": {**test.counts(), **test.at(least)},
        "points": [valid.at(log_odds) for log_odds in points],
    }
    save_head(out_dir / HEAD_NAME, replace(trained, min_log_odds=least))
    return {**score, "rejection": rejection}


def without_rejection(trained: TrainedHead) -> TrainedHead:
    """The head that scores the task: without a score of no keyword and a threshold."""
    if trained.outputs[-1] != NONE or not isinstance(trained.head, LinearHead):
        return trained
    return replace(
        trained,
        head=without_none(trained.head),
        slots=(trained.outputs[:-1],),
        min_log_odds=None,
    )


def _with_none(trained: TrainedHead, clips: Iterator[_Clip]) -> TrainedHead:
    """The head with a score of no keyword, trained on the clips."""
    assert isinstance(trained.head, LinearHead)
    body, labels = body_of(trained.head), trained.outputs
    groups: dict[tuple[bool, bool], list[tuple[torch.Tensor, int]]] = {}
    for clip in clips:
        index = len(labels) if clip.target is None else labels.index(clip.target)
        group = groups.setdefault((clip.target is None, clip.is_noise), [])
        group.append((_outputs(body, clip.states_LTD), index))
    head = with_none(
        trained.head,
        [
            (torch.stack([x for x, _ in group]), torch.tensor([i for _, i in group]))
            for group in groups.values()
        ],
    )
    return replace(trained, head=head, slots=((*labels, NONE),))


def _keyword_odds(trained: TrainedHead, clips: Iterator[_Clip]) -> KeywordOdds:
    """Log odds of the keywords in all clips."""
    odds = KeywordOdds()
    for clip in clips:
        scores = _outputs(trained.head, clip.states_LTD).numpy()
        index, log_odds, _ = best_of(scores, n_results(trained.outputs))
        label = trained.outputs[index]
        if clip.target is not None and is_keyword(clip.target):
            odds.keywords.append(log_odds if label == clip.target else -np.inf)
            continue
        (odds.noise if clip.is_noise else odds.others).append(
            log_odds if is_keyword(label) else -np.inf
        )
        odds.other_s += 0 if clip.is_noise else clip.seconds
    return odds


def _outputs(module: torch.nn.Module, states_LTD: Array) -> torch.Tensor:
    lengths = torch.tensor([states_LTD.shape[1]])
    with torch.no_grad():
        outputs: torch.Tensor = module(torch.from_numpy(states_LTD)[:, None], lengths)[0]
    return outputs


@dataclass(frozen=True, slots=True)
class _Audio:
    """Features of the clips of the task and of audio without a keyword."""

    labels: Sequence[str]
    upstream: Upstream
    features: FrozenFeatures
    corpus: Corpus
    splits: Splits[Example]
    load: Callable[[Any], Array]

    def clips(self, part: str) -> Iterator[_Clip]:
        """Clips of the task in a part, generated noise, and windows of speech without a keyword.

        A window has the length of a keyword.
        """
        seconds_of = {cut.id: cut.duration for cut in self.corpus.cuts}
        examples = getattr(self.splits, part)
        for e in examples:
            yield _Clip(self.features.clips[e.id], e.target, False, seconds_of[e.id])
        spoken = [seconds_of[e.id] for e in examples if is_keyword(e.target)]
        n_samples = round(max(0.1, np.median(spoken or [1.0])) * SAMPLE_RATE_HZ)
        windows = list(noises(n_samples, N_NOISES[part], seed=NAMES.index(part)))
        n_noises = len(windows)
        keywords = [label for label in self.labels if is_keyword(label)]
        speech = windows_without(self.corpus, part, keywords, n_samples, self.load)
        windows += islice(speech, MAX_WINDOWS)
        with progress(f"audio without keywords ({part})", len(windows)) as advance:
            for i, window in enumerate(windows):
                states = self.upstream.features(f"window-{i}", lambda window=window: window)  # type: ignore[misc]
                yield _Clip(states, None, i < n_noises, len(window) / SAMPLE_RATE_HZ)
                advance()
