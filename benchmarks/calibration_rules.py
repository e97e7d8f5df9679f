"""Error of features after calibration alone, by rule for the scales of activations.

    python benchmarks/calibration_rules.py MODEL CORPUS [--plans w8a8 ...] [--json FILE]

The error is the squared distance of the last hidden state from the float model's, over its square,
on 40 clips that were not calibrated on.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import get_args

import numpy as np
import torch

import report
from earbit.audio.corpus import open_corpus
from earbit.load import load_model
from earbit.model import AudioModel
from earbit.quantize.calibrate import CalibrationConfig, ScaleRule
from earbit.quantize.clips import audio_of, clips_among
from earbit.quantize.plan import plan_named
from earbit.quantize.student import student_of

N_CLIPS = 40


@torch.no_grad()
def states(model: AudioModel, clips: list[np.ndarray]) -> torch.Tensor:
    """The last hidden states of all clips (frames, width)."""
    return torch.cat([model(torch.from_numpy(clip)[None]).states[-1][0] for clip in clips])


def main() -> None:
    parser = report.arguments(__doc__)
    parser.add_argument("model")
    parser.add_argument("corpus")
    parser.add_argument("--plans", nargs="+", default=["w8a8", "w4a4", "w2a2", "w1a1"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_model(options.model).eval()
    corpus = open_corpus(options.corpus)
    names = {cut.id for cut in corpus.cuts}
    to_calibrate = audio_of(corpus, names, 0)
    others = sorted(names - set(clips_among(names, 0)))
    chosen = np.random.default_rng(1).choice(others, N_CLIPS, replace=False)
    clips = [audio_of(corpus, {name}, 0)[0] for name in chosen]
    expected = states(model, clips)
    if not torch.equal(
        states(student_of(model, plan_named("fp32"), [], CalibrationConfig()), clips), expected
    ):
        raise SystemExit("a copy in float has other states than the model")
    rows = []
    for plan in options.plans:
        for rule in get_args(ScaleRule):
            start = time.process_time()
            rules = CalibrationConfig(scale=rule)
            student = student_of(model, plan_named(plan), to_calibrate, rules).eval()
            seconds = time.process_time() - start
            found = states(student, clips)
            error = ((found - expected).square().sum() / expected.square().sum()).item()
            cosine = torch.nn.functional.cosine_similarity(found, expected, dim=-1).mean().item()
            rows.append(
                {
                    "plan": plan,
                    "rule": rule,
                    "error": round(error, 5),
                    "cosine": round(cosine, 4),
                    "calibration_cpu_s": round(seconds, 1),
                }
            )
    lines = [
        f"{r['plan']:8} {r['rule']:14} error {r['error']:.5f}  cosine {r['cosine']:.4f}"
        for r in rows
    ]
    result = {
        "machine": report.machine(options.threads),
        "model": Path(options.model).name,
        "corpus": corpus.digest,
        "n_clips": N_CLIPS,
        "rows": rows,
    }
    report.show(result, lines, options.json)


if __name__ == "__main__":
    main()
