"""HuBERT Base in PyTorch fp32: our model beside transformers' HubertModel; checked, then timed.

    python benchmarks/hubert_forward.py [--seconds 10] [--runs 30] [--threads 1] [--json FILE or -]

Same weights, same audio, evaluation mode; transformers with its default attention (sdpa), and with
its plain one (eager).  The models take turns.
"""

from __future__ import annotations

import sys

import torch

from earbit.load import random_model
from earbit.presets import preset
from report import HERE, arguments, goal, in_turn, machine, quartiles, show

sys.path.insert(0, str(HERE.parent / "tests"))
from hugging_face import hugging_face_twin, their_name  # noqa: E402


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    ours = random_model(preset("hubert-base"), 0).eval()
    weights = {their_name(name): value for name, value in ours.state_dict().items()}
    wave = 0.1 * torch.randn(
        1, int(options.seconds * 16_000), generator=torch.Generator().manual_seed(0)
    )
    engines = {"earbit": lambda: ours(wave).states[-1]}
    for attention in ("sdpa", "eager"):
        twin = hugging_face_twin(preset("hubert-base"), attention)
        twin.load_state_dict(weights)
        engines[f"transformers {attention}"] = lambda twin=twin: twin(wave)[0]
    for engine in engines.values():
        torch.testing.assert_close(engine(), engines["earbit"](), atol=1e-4, rtol=1e-4)
    times = in_turn(engines, options.runs)
    rows = {name: quartiles(values) for name, values in times.items()}
    ratio = rows["earbit"]["median_ms"] / rows["transformers sdpa"]["median_ms"]
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "audio_s": options.seconds,
        "rows": rows,
        "earbit_over_transformers_sdpa": ratio,
        "ms_of_runs": times,
    }
    lines = [
        f"{name:<20} {row['median_ms']:>9.1f} ms ({row['p25_ms']:.1f}-{row['p75_ms']:.1f})"
        for name, row in rows.items()
    ]
    lines.append(goal("time over that of transformers <= 1.05", ratio, ratio <= 1.05))
    show(result, lines, options.json)


if __name__ == "__main__":
    main()
