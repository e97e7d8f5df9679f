"""Rejection threshold of a keyword model, with its false accepts per hour and misses.

A head knows only its classes and is often sure of one on silence.  So the threshold is picked on
validation clips, on audio without a keyword, and on generated silence and noise.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earbit.audio.corpus import Corpus
from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.audio.splits import Splits
from earbit.errors import DataError
from earbit.files import write_json
from earbit.heads.example import Example
from earbit.heads.rejection import Heard, is_keyword, noises
from earbit.progress import progress, say
from earbit.runtime.likeliest import best_of
from earbit.superb.features import FrozenFeatures
from earbit.superb.head_file import TrainedHead, load_head, save_head
from earbit.superb.upstream import Upstream

Array = NDArray[np.float32]
TARGET_PER_HOUR = 1.0
MAX_WINDOWS = 600
"""Windows of speech without a keyword in the validation and in the test part."""
N_ALLOWED = (0, 1, 2, 5, 10, 20, 50, 100)
"""Numbers of false accepts of the operating points in scores.json."""


def add_rejection(
    score: Mapping[str, Any],
    out_dir: Path,
    upstream: Upstream,
    features: FrozenFeatures,
    corpus: Corpus,
    splits: Splits[Example],
    load: Callable[[Any], Array],
) -> dict[str, Any]:
    """Picks the threshold, and writes it to head.safetensors and scores.json of `out_dir`.

    At most TARGET_PER_HOUR false accepts per hour of validation audio without a keyword, and none
    in generated noise.  load: waveform of a cut.  Returns the score with `rejection`, or as it is
    for an upstream of precomputed features, which cannot hear other audio.
    """
    trained = load_head(out_dir)
    heard = {}
    try:
        for part in ("valid", "test"):
            heard[part] = _heard(part, trained, upstream, features, corpus, splits, load)
    except DataError as error:
        say(f"no rejection threshold: {error}")
        return dict(score)
    valid, test = heard["valid"], heard["test"]
    if not valid.other_s:
        say(
            f"corpus {corpus.name}: no audio without a keyword, so false accepts are not counted; "
            "label other speech `_unknown_`, or give its `text`"
        )
    least = valid.threshold(int(TARGET_PER_HOUR * valid.other_s / 3600), valid.noise)
    n_points = [n for n in N_ALLOWED if n <= len(valid.others)]
    rejection = {
        "target_per_hour": TARGET_PER_HOUR,
        "valid": {**valid.counts(), **valid.at(least)},
        "test": {**test.counts(), **test.at(least)},
        "points": [valid.at(valid.threshold(n)) for n in n_points],
    }
    save_head(out_dir / "head.safetensors", replace(trained, min_log_odds=least))
    score = {**score, "rejection": rejection}
    write_json(out_dir / "scores.json", score)
    return score


def _heard(
    part: str,
    trained: TrainedHead,
    upstream: Upstream,
    features: FrozenFeatures,
    corpus: Corpus,
    splits: Splits[Example],
    load: Callable[[Any], Array],
) -> Heard:
    heard = Heard()
    seconds_of = {cut.id: cut.duration for cut in corpus.cuts}
    spoken = []
    for example in getattr(splits, part):
        label, odds = _best(trained, features.clips[example.id])
        if is_keyword(example.target):
            heard.keywords.append(odds if label == example.target else -np.inf)
            spoken.append(seconds_of[example.id])
        else:
            heard.others.append(odds if is_keyword(label) else -np.inf)
            heard.other_s += seconds_of[example.id]
    n_samples = round(max(0.1, np.median(spoken or [1.0])) * SAMPLE_RATE_HZ)
    windows = list(noises(n_samples, seed=len(part)))
    n_noises = len(windows)
    for cut in _without_keyword(part, corpus, trained.outputs):
        if len(windows) >= n_noises + MAX_WINDOWS:
            break
        try:
            audio = load(cut)
        except DataError:
            continue
        parts = (audio[i : i + n_samples] for i in range(0, len(audio), n_samples))
        windows += [window for window in parts if len(window) >= n_samples / 2]
    with progress(f"other audio ({part})", len(windows)) as advance:
        for i, window in enumerate(windows):
            states = upstream.features(f"window-{i}", lambda window=window: window)  # type: ignore[misc]
            label, odds = _best(trained, states)
            into = heard.noise if i < n_noises else heard.others
            into.append(odds if is_keyword(label) else -np.inf)
            heard.other_s += 0 if i < n_noises else len(window) / SAMPLE_RATE_HZ
            advance()
    return heard


def _without_keyword(part: str, corpus: Corpus, labels: Sequence[str]) -> list[Any]:
    """Cuts of one part without a keyword, known by their `text`, in the order of a hash.

    The head has seen none of them, so those of the training part are used for validation.
    """
    keywords = [f" {_words(label)} " for label in labels if is_keyword(label)]
    found = {}
    for cut in corpus.cuts:
        custom = cut.custom or {}
        text, split = custom.get("text"), custom.get("split")
        if custom.get("keyword") is not None or not isinstance(text, str):
            continue
        digest = hashlib.sha256(cut.id.encode()).digest()
        if split not in ("train", "valid", "test"):
            split = "test" if digest[0] % 2 else "valid"
        words = f" {_words(text)} "
        if (split == "test") == (part == "test") and not any(k in words for k in keywords):
            found[digest] = cut
    return [found[digest] for digest in sorted(found)]


def _words(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", text.replace("_", " ").casefold()))


def _best(trained: TrainedHead, states_LTD: Array) -> tuple[str, float]:
    with torch.inference_mode():
        lengths = torch.tensor([states_LTD.shape[1]])
        scores = trained.head(torch.from_numpy(states_LTD)[:, None], lengths)[0].numpy()
    index, log_odds, _ = best_of(scores)
    return trained.outputs[index], log_odds
