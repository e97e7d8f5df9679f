"""Training a head on cached features beside training it with the model in the loop.

    python benchmarks/feature_cache.py [--presets hubert-base] [--clips 64] [--seconds 1]
                                       [--steps 5] [--cache fp32 fp16] [--json FILE or -]

A run is `--steps` updates of the head of keyword spotting, 32 clips each, with the published
protocol, and one evaluation.  Clips are noise of one length and the model has random weights, so
its time is that of a trained one.  Both sides read features through the same code (`--cache none`
is the model in the loop).  Before anything is timed, the head of fp32 features is checked to have
the same bits as that of the model in the loop.  The time to fill the cache is a line of its own:
it is paid once per model and corpus, and a sweep of seven rates shares it.  The operating system
keeps files that were just written in memory, as it does with a corpus that fits there.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earbit.audio.splits import Splits
from earbit.heads.example import Example
from earbit.load import random_model
from earbit.presets import preset
from earbit.superb.ks import KS
from earbit.superb.training import Training, train_head
from earbit.upstream.features import FrozenFeatures, frozen_features
from earbit.upstream.upstream import Upstream, model_upstream
from report import arguments, goal, in_turn, machine, quartiles, show

LR = 1e-3
CLASSES = ("no", "yes")


def examples(n_clips: int) -> tuple[Example, ...]:
    return tuple(Example(id=f"{i}", target=CLASSES[i % 2], speaker=None) for i in range(n_clips))


def features_of(
    upstream: Upstream, n_clips: int, n_samples: int, folder: Path, cache: str
) -> FrozenFeatures:
    def noise(clip: str) -> Any:
        return 0.1 * np.random.default_rng(int(clip)).standard_normal(n_samples, np.float32)

    n_frames_of = {f"{i}": n_samples // upstream.hop_samples for i in range(n_clips)}
    return frozen_features(
        upstream, noise, n_frames_of, corpus_digest="noise", cache_dir=folder, cache=cache
    )[0]


def training_on(features: FrozenFeatures, n_clips: int, n_steps: int) -> Callable[[], Any]:
    clips = examples(n_clips)
    splits = Splits(train=clips, valid=clips[:32], test=clips)
    protocol = dataclasses.replace(KS.published, n_steps=n_steps, n_checks=1)
    training = Training(task=KS, protocol=protocol, features=features, splits=splits, seed=0)
    return lambda: train_head(training, LR).head.state_dict()


def check(ways: dict[str, Callable[[], Any]]) -> None:
    """The same head to the last bit, or no time."""
    ours, theirs = ways["fp32"](), ways["none"]()
    for name, tensor in ours.items():
        if not torch.equal(tensor, theirs[name]):
            raise SystemExit(f"{name} differs between cached features and the model in the loop")


def rows_of(name: str, options: Any, folder: Path) -> list[dict[str, Any]]:
    upstream = model_upstream(name, random_model(preset(name), 0))
    n_samples = int(16_000 * options.seconds)
    ways, filled_s, n_bytes = {}, {}, {}
    for cache in ("none", *options.cache):
        start_s = time.perf_counter()
        features = features_of(upstream, options.clips, n_samples, folder / cache, cache)
        filled_s[cache] = time.perf_counter() - start_s
        n_bytes[cache] = sum(f.stat().st_size for f in (folder / cache).rglob("shard-*"))
        ways[cache] = training_on(features, options.clips, options.steps)
    check(ways)
    times = in_turn(ways, options.runs)
    in_the_loop = quartiles(times["none"])["median_ms"]
    return [
        {"preset": name, "cache": cache}
        | quartiles(values)
        | {
            "times_as_fast": in_the_loop / quartiles(values)["median_ms"],
            "filled_s": None if cache == "none" else filled_s[cache],
            "bytes": n_bytes[cache],
        }
        for cache, values in times.items()
    ]


def main() -> None:
    parser = arguments(__doc__, runs=5)
    parser.add_argument("--presets", nargs="+", default=["hubert-base"])
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--cache", nargs="+", default=["fp32", "fp16"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows, lines = [], []
    folder = Path(tempfile.mkdtemp())
    try:
        for name in options.presets:
            rows += rows_of(name, options, folder / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for row in rows:
        what = "model in the loop" if row["cache"] == "none" else f"cache {row['cache']}"
        lines.append(
            f"{row['preset']:<20} {what:<18} {row['median_ms']:>9.1f} ms ({row['p25_ms']:.1f}-"
            f"{row['p75_ms']:.1f}), {row['times_as_fast']:.1f}x, {row['bytes'] / 1e6:.0f} MB"
            + ("" if row["filled_s"] is None else f", filled in {row['filled_s']:.1f} s")
        )
    for row in rows:
        if row["cache"] == "fp32":
            times = row["times_as_fast"]
            lines.append(goal(f"{row['preset']}, times as fast >= 50", times, times >= 50))
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "n_clips": options.clips,
        "audio_s": options.seconds,
        "n_steps": options.steps,
        "rows": rows,
    }
    show(result, lines, options.json)


if __name__ == "__main__":
    main()
