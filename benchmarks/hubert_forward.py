"""HuBERT Base in PyTorch fp32: our model beside transformers' HubertModel; checked, then timed.

    python benchmarks/hubert_forward.py [--seconds 10] [--runs 9] [--threads 1] [--json]

Same weights, same audio, evaluation mode; transformers with its default attention (sdpa), and with
its plain one (eager).  The models take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

from earbit.presets import hubert_base
from earbit.quantize.load import random_model

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hugging_face import hugging_face_twin, their_name  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="JSON alone on stdout")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ours = random_model(hubert_base(), 0).eval()
    weights = {their_name(name): value for name, value in ours.state_dict().items()}
    models = {"earbit": lambda wave: ours(wave).states[-1]}
    for attention in ("sdpa", "eager"):
        twin = hugging_face_twin(hubert_base(), attention)
        twin.load_state_dict(weights)
        models[f"transformers {attention}"] = lambda wave, twin=twin: twin(wave)[0]
    wave = 0.1 * torch.randn(1, int(options.seconds * 16_000), generator=torch.manual_seed(0))
    times: dict[str, list[float]] = {name: [] for name in models}
    with torch.no_grad():
        expected = models["earbit"](wave)
        for model in models.values():
            torch.testing.assert_close(model(wave), expected, atol=1e-4, rtol=1e-4)
        for run in range(options.runs + 1):
            for name, model in models.items():
                start_s = time.perf_counter()
                model(wave)
                if run:  # the first warms up
                    times[name].append(1e3 * (time.perf_counter() - start_s))
    medians = {name: statistics.median(values) for name, values in times.items()}
    report = {
        "torch": torch.__version__,
        "threads": options.threads,
        "seconds": options.seconds,
        "median_ms": medians,
        "ms_of_runs": times,
        "times_of_transformers_sdpa": medians["earbit"] / medians["transformers sdpa"],
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{options.seconds:g} s of audio, {options.threads} thread(s), median of {options.runs}")
    for name, median_ms in medians.items():
        print(f"{name:<20} {median_ms:>9.1f} ms  {median_ms / medians['earbit']:.3f} of earbit")


if __name__ == "__main__":
    main()
