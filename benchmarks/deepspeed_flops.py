"""DeepSpeed's count of our presets beside ours, and every difference by name, as integers.

    python3 -m venv /tmp/ds
    /tmp/ds/bin/pip install --constraint constraints.txt . deepspeed==0.19.8
    /tmp/ds/bin/python benchmarks/deepspeed_flops.py [PRESET ...] [--seconds 10]

DeepSpeed is no dependency of ours, so it has an environment that is thrown away;
tests/cost/test_other_counters.py holds its integers.  The exit status is 1 where the named
differences leave anything over.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

import torch
from deepspeed.profiling.flops_profiler import FlopsProfiler

from earbit.audio.rate import SAMPLE_RATE_HZ
from earbit.cost.op import OPERATIONS_PER_MAC
from earbit.cost.profile import profile_model
from earbit.cost.table import aligned
from earbit.cost.trace import weight_shape
from earbit.model import AudioModel
from earbit.nn.leaves import Linear, MatMul
from earbit.presets import preset

PRESETS = ("hubert-base", "hubert-tiny", "conformer-s", "squeezeformer-xs", "sparseformer-dn-s")
UNSEEN = {
    "add": "operators + and *",
    "mul": "operators + and *",
    "softmax": "Tensor.softmax",
    "glu": "F.glu",
    "pow": "square and mean",
    "mean": "square and mean",
    "exp": "exp, sin and cos",
    "sin": "exp, sin and cos",
    "cos": "exp, sin and cos",
}
"""Kinds of our operations that DeepSpeed does not patch, and what they are in our source."""


def their_count(model: AudioModel, n_samples: int) -> tuple[int, int, int]:
    """MACs and FLOPs of DeepSpeed; MACs of the products of activations, blocks of a window whole.

    On zeros and not on the meta device, where a linear layer is built of others that it counts too.
    """
    n_product_macs = 0

    def note(module: torch.nn.Module, args: Any, output: torch.Tensor) -> None:
        nonlocal n_product_macs
        n_product_macs += output.numel() * args[0].shape[-1]

    handles = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, MatMul)]
    profiler = FlopsProfiler(model)
    profiler.start_profile()
    with torch.inference_mode():
        model(torch.zeros(1, n_samples))
    counted = profiler.get_total_macs(), profiler.get_total_flops()
    profiler.end_profile()
    for handle in handles:
        handle.remove()
    return *counted, n_product_macs


def compared(name: str, n_samples: int) -> dict[str, int]:
    """Rows of the comparison; the last of MACs and of FLOPs is what no row explains."""
    model = AudioModel(preset(name)).eval()
    macs, flops, n_product_macs = their_count(model, n_samples)
    ours = profile_model(preset(name), {}, n_samples=n_samples, name=name, plan="fp32", devices=())
    biases, unseen = 0, Counter(dict.fromkeys(UNSEEN.values(), 0))
    for op in ours.ops:
        leaf = model.get_submodule(op.name)
        if isinstance(leaf, Linear) and leaf.bias is not None:
            biases += op.out_elements
        elif op.kind in UNSEEN:
            unseen[UNSEEN[op.kind]] += op.n_other_flops
    # The positional convolution makes a frame too many, which only they count.
    position = model.get_submodule("encoder.position.conv")
    n_out, n_in, n_taps = weight_shape(position)
    frame_macs = n_out * n_in * n_taps
    masked_macs = n_product_macs - sum(op.n_macs for op in ours.ops if op.kind == "matmul")
    more_macs = {"+ dropped frame": frame_macs, "+ masked pairs": masked_macs}
    more_flops = {
        "- biases of linears": -biases,
        **{f"- {what}": -n_flops for what, n_flops in unseen.items()},
        "+ dropped frame, its bias": OPERATIONS_PER_MAC * frame_macs + n_out,
        "+ masked pairs, FLOPs": OPERATIONS_PER_MAC * masked_macs,
    }
    return {
        "MACs, ours": ours.total.macs,
        **more_macs,
        "MACs, DeepSpeed": macs,
        "MACs, unexplained": macs - ours.total.macs - sum(more_macs.values()),
        "FLOPs, ours": ours.total.flops,
        **more_flops,
        "FLOPs, DeepSpeed": flops,
        "FLOPs, unexplained": flops - ours.total.flops - sum(more_flops.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", default=PRESETS, metavar="PRESET")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    n_samples = round(options.seconds * SAMPLE_RATE_HZ)
    columns = {name: compared(name, n_samples) for name in options.presets}
    rows = [["", *columns]]
    for row in next(iter(columns.values())):
        rows.append([row, *(f"{column[row]:,}" for column in columns.values())])
    print("\n".join(aligned(rows)))
    if any(
        n for column in columns.values() for row, n in column.items() if row.endswith("unexplained")
    ):
        sys.exit("there are differences that no row explains")


if __name__ == "__main__":
    main()
