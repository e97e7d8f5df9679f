"""Window attention in PyTorch, forward and backward, beside full attention; checked, then timed.

    python benchmarks/window_attention.py [--window 32] [--runs 30] [--threads 1] [--json FILE or -]

12 heads of 64, as in HuBERT Base.  A length of 30,000 frames is ten minutes; full attention is
not tried there: one matrix of scores would be 43 GB.  Peak memory is that of a process which runs
window attention once at the longest length and does nothing else.

Long operands are fresh memory from the kernel in every run, short ones are not: the C library
keeps small blocks and gives large ones back.  So every length is also timed in a process whose
C library keeps all of them (`memory kept`): that is the attention itself.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from earbit.bench.measure import peak_rss_bytes
from earbit.nn.window_attention import WindowAttention
from report import arguments, goal, in_turn, machine, quartiles, show

N_HEADS, HEAD_WIDTH = 12, 64
FRAMES = (500, 1000, 3000, 10_000, 30_000)
LONGEST_FULL = 3000
CHECKED_FRAMES = 2000
"""More than are trained in one piece."""
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**33),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
}


def operands(n_frames: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shape = (1, N_HEADS, n_frames, HEAD_WIDTH)
    return [torch.randn(shape, requires_grad=True) for _ in range(3)]


def windowed(window: int) -> Callable[..., torch.Tensor]:
    attention = WindowAttention(N_HEADS * HEAD_WIDTH, N_HEADS, 0.0, window // 2)
    return lambda q, k, v: attention.attend(q * HEAD_WIDTH**-0.5, k, v, None)


def full(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def check(window: int) -> None:
    """Outputs and gradients equal those of the masked dense product; otherwise no time is given."""
    index = torch.arange(CHECKED_FRAMES)
    near = (index[:, None] - index).abs() <= window // 2
    sides = []
    for attend in (
        windowed(window),
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=near),
    ):
        inputs = operands(CHECKED_FRAMES)
        output = attend(*inputs)
        output.square().sum().backward()
        sides.append([output, *(x.grad for x in inputs)])
    for ours, theirs in zip(*sides, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def train_once(attend: Callable[..., torch.Tensor], inputs: list[torch.Tensor]) -> None:
    for x in inputs:
        x.grad = None
    attend(*inputs).sum().backward()


def row_of(n_frames: int, window: int, n_runs: int, with_full: bool) -> dict[str, Any]:
    inputs = operands(n_frames)
    engines = {"window": lambda: train_once(windowed(window), inputs)}
    if with_full:
        engines["full"] = lambda: train_once(full, inputs)
    times = in_turn(engines, n_runs)
    row: dict[str, Any] = {"frames": n_frames}
    row |= {name: quartiles(values) for name, values in times.items()}
    row["window_us_per_frame"] = 1e3 * row["window"]["median_ms"] / n_frames
    if with_full:
        row["times_as_fast_as_full"] = row["full"]["median_ms"] / row["window"]["median_ms"]
    return row


def peak_bytes(window: int, n_frames: int, threads: int) -> tuple[int, int]:
    """Of the process before the operands are made, and at its highest."""
    torch.set_num_threads(threads)
    train_once(windowed(window), operands(100))  # PyTorch itself, once warm
    before = peak_rss_bytes()
    train_once(windowed(window), operands(n_frames))
    return before, peak_rss_bytes()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--window", type=int, default=32, help="frames")
    parser.add_argument("--kept", action="store_true", help="only the rows of `memory kept`")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    check(options.window)
    rows = [
        row_of(n, options.window, options.runs, n <= LONGEST_FULL and not options.kept)
        for n in FRAMES
    ]
    if options.kept:
        print(json.dumps(rows))
        return
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        before, peak = pool.apply(peak_bytes, (options.window, FRAMES[-1], options.threads))
    again = subprocess.run(
        [sys.executable, *sys.argv, "--kept"],
        env=os.environ | KEEP_MEMORY,
        capture_output=True,
        text=True,
        check=True,
    )
    kept = json.loads(again.stdout)
    result = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "window": options.window,
        "rss_bytes_before": before,
        "peak_rss_bytes_at_longest": peak,
        "rows": rows,
        "rows_memory_kept": kept,
    }
    lines = [f"window {options.window}, forward and backward, medians (quarters)"]
    for row, other in zip(rows, kept, strict=True):
        time = row["window"]
        beside = f"{row['times_as_fast_as_full']:6.1f}x" if "full" in row else "      -"
        lines.append(
            f"{row['frames']:>7} frames {time['median_ms']:>9.2f} ms ({time['p25_ms']:.1f}-"
            f"{time['p75_ms']:.1f}) {row['window_us_per_frame']:>7.2f} us/frame, memory kept "
            f"{other['window_us_per_frame']:>6.2f}, {beside} as fast as full attention"
        )
    lines.append(f"peak memory: {peak / 1e6:.0f} MB, {before / 1e6:.0f} MB of it before operands")
    by_frames = {row["frames"]: row for row in rows}
    faster = by_frames[3000]["times_as_fast_as_full"]
    lines.append(goal("times as fast as full attention at 3,000 frames >= 4", faster, faster >= 4))
    lines.append(goal("GB of the process at 30,000 frames < 1", peak / 1e9, peak < 1e9))
    for name, some in (("as it comes", rows), ("memory kept", kept)):
        per_frame = {row["frames"]: row["window_us_per_frame"] for row in some}
        growth = per_frame[30_000] / per_frame[3000]
        what = f"time per frame at 30,000 frames over 3,000, {name}, <= 1.1"
        lines.append(goal(what, growth, growth <= 1.1))
    show(result, lines, options.json)


if __name__ == "__main__":
    main()
